"""The packet engine: probes made and answers read by the hundred thousand, in numpy.

Imported when a scan uses it and never before (numpy takes 90 ms): its files alone import numpy, and at the top.

    places of an order  -> `expand`: addresses and ports, as arrays
                        -> `chunk.Chunk`: up to 65,535 probes in flight under one source port, found again by answers
                        -> `routes`: for each the interface, source address and hardware address of the next hop
                        -> `build`: templates from `wire.packets`, patched by columns
                        -> `transmit`: through the senders of `system.packets`
    ring of the kernel  -> `answers`: columns of what came back
                        -> `verdicts`: which probe each belongs to, if the keyed hash agrees, and what it says
    `pace`              how fast: a fixed rate, or one that answers teach
    `engine`            the loop over all of it
"""
