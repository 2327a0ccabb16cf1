"""Sending files and directories and receiving them, whole or not at all.

`channel` carries the frames of wire/transfer.py, `sealing` encrypts them by a one-time code; `sending` and
`receiving` are the two sides, `landing` is how files come to the disk.
"""
