"""Bytes and text to records and back: pure functions, no I/O, one kernel family per file."""
