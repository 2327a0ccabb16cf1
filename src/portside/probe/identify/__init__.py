"""What answers: services known by what they say, never by their number.

    what is asked, how answers are read   tables of `question.Question`, pure: `names` and `datagrams` (UDP);
                                          `greetings`, `web`, `databases`, `messaging`, `remote` (TCP)
    who asks                              `asking`: one open port, a few connections, bounded in time and bytes
    everybody                             `crowd`: many ports at once
    helpers                               `asn1`, `certificate`

A service that was named here has answered in its protocol.  A name without that is a guess from the port's number,
and not this package's business.
"""
