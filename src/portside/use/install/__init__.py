"""A program on a port that survives a reboot: files for the host's service manager, and what switches them on.

`wish` says what is wanted; one file for each manager renders it as a `plan.Plan`, a pure value that can be printed
anywhere; `applying` writes it, checks it, switches it on, and takes all of it (and only that) away again.
"""
