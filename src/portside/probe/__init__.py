"""Probing from outside: which ports answer, and why the others do not.

How a scan is made, and the contract between its parts:

    what was typed  ->  `targets` (addresses as ranges), `ports/spec` (ports)
                    ->  `space.Space`: one transport, those addresses times those ports, each probe a number
                    ->  `order.Order`: the numbers of one shard in a seeded order; place -> probe number
                    ->  a method (`method.Method`): sends the probes of an order, yields results
                    ->  `scan`: one method for each transport, safety, checkpoints; what the library and the CLI call

Nothing is ever a list of probes: a space is as large as its ranges are few, an order is two numbers and four keys.

**A method** is a class in a file of its own (`connect`, `syn`, `udp`), made by `method.open_method`:

    Method(order, options, left)    `order`: what to probe.  `options`: `method.Options`.  `left`: an `order.Left`,
                                    what a run before this one has not decided; `Left()` is everything
    batches()                       generator of lists of `records.Result`, as they come.  A list, perhaps an
                                    empty one, comes at least every `method.TICK` seconds: the caller can draw,
                                    save, stop.  Ends when each probe is decided.  Closing it frees everything at once
    counters                        `method.Counters`, kept up to date: the one place where progress is read
    left()                          `order.Left`: what is not decided now.  A result that was yielded is decided

- A probe is decided once: one result, or one more in `counters.states` where its state is not in `options.wanted`.
- A place may be probed again after a resume, never left out: `left()` may tell too much, not too little.
- What fails here (no descriptor, no local port, no buffer) is retried, then told as `local-error`; it says nothing of
  the port and is never `closed`.  What the method had to do about loss or errors goes to `counters.notes`, in words.
- Records hold addresses as text; spaces and orders hold them as numbers.
"""
