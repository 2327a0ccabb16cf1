"""The cast of the world: processes that hold every kind of socket, each telling what it holds.

`stage.py` forks one process per role inside a throw-away namespace; a role opens sockets and notes an `Entry` for
each, with what any observer has to find.  `../world.py` starts the stage and collects the notes.
"""
