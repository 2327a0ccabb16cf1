"""One session between two byte streams, and the loop that moves the bytes.

`rules` is the state machine, without I/O: when an end of file is passed on, when a session is over.  `ends` knows
what a descriptor is, `flows` how bytes get from one to another (splice, sendfile, copy).  `relay` joins these to one
session, `driver` runs any number of them on one epoll instance.
"""
