"""The kernel's settings about ports: what they are, what they cost here and now, and how they are changed.

`settings` is the table, `usage` what the host does with them, `advice` where a value bites, `changes` a change as a
value, `applying` makes it and takes it back, `freebsd` the names there.
"""
