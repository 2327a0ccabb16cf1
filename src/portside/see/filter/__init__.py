"""The filter language: text -> expression -> what the kernel is asked and what is checked here.

    expression = parse("sport = 8000-8100 and user www-data")
    keep = predicate(expression)                    # a fast function of one Socket, wherever it was read
    asking = plan(expression)
    part = asking.request("inet", "tcp", states)    # what the kernel can do of it; None: nothing can match
    keep = asking.predicate()                       # what to check on the sockets it returned

`tokens` splits the text, `parser` and `values` build the records of `syntax`, `evaluate` turns them into functions,
`narrow` and `push` into dump requests.  The reference for users is docs/filter.md.
"""

from __future__ import annotations

from portside.see.filter.evaluate import matches as matches
from portside.see.filter.evaluate import predicate as predicate
from portside.see.filter.parser import parse as parse
from portside.see.filter.parser import registered_ports as registered_ports
from portside.see.filter.push import InetRequestPart as InetRequestPart
from portside.see.filter.push import Plan as Plan
from portside.see.filter.push import plan as plan
from portside.see.filter.syntax import Expression as Expression
