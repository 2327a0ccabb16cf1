"""The small services of RFC 862 to 868, served over TCP and UDP.

`services` says what each answers, `guard` whom a datagram is answered, `server` runs them on the relay's loop.
"""
