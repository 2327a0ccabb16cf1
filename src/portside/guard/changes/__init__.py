"""Changes to the firewall: a wish, a plan that can be read first, one apply, a record of it, and the way back.

    wish.py      what is asked, as values
    own_table.py what Portside's own nftables table holds, as a function of the changes in force
    managers/    the same wish in the words of whoever keeps this host's rules: ufw, firewalld, iptables, nftables, pf
    plan.py      the steps there and the steps back
    decide.py    which of them: what the rules in force say of the wish
    safety.py    who gains, who loses, and whether the way we came in stays open
    apply.py     locked, written down first, taken back when something fails or nobody confirms

Rule: nothing of anybody else's is flushed or rewritten.  What cannot be undone is not done.
"""
