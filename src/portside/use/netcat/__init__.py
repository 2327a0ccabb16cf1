"""What the netcats run on: the standard streams joined to one connection, by the relay.

`talk` runs one session and says how it went; `datagrams` makes a datagram socket an end of one.
"""
