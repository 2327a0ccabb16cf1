"""Forwarding: listeners of TCP, UDP and Unix sockets, and where what they take is sent on to.

`places`, `access`, `rules` say what is wanted; `toml_file` and `rinetd_file` read it from files.  `pool` chooses
among targets, `streams` and `flows` carry connections and datagrams, `forwarder` runs them all.
"""
