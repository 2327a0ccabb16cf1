"""See the ports of a host: sockets and their owners, the filter language, one row per open port."""
