"""Guard: rules in force as a value, and who can get through them.

For those who build on it, this is the entrance:

    from portside.guard import reading, plain, reach
    ruleset = reading.read_rules()                  # model.Ruleset: tables, chains, rules as frozen records
    environment = reading.read_environment()        # environment.Environment: interfaces, routes, settings
    packet = Packet("eth0", "tcp", "198.51.100.7", "192.0.2.1", 22)
    plain.judge_packet(ruleset, environment, packet)            # packet.Judgement: yes, no, depends; because; trace

`model.difference(before, after)` tells two rulesets apart line by line; `reading.rules_from_text` reads files.  A
ruleset with `unread` was not read in whole: every verdict on it is `unknown`.
"""
