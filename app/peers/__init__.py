"""The sibling of unicast nodes: when this node may take part, whom it sends to, and whom it hears.

What holds: two masters that can hear each other are one after an advert and a tenth of a second, whatever names and
lists say (app.pid1.peers: who is heard is sent to). And no answer of a name server alone takes every node out: a
node that takes part leaves only for these.

    takes part as          NAME lists it    two answers without it    four equal answers without it
    backup, hears          stays            stays                     stays
    backup, falls silent   becomes master   leaves                    leaves
    master                 stays            stays                     leaves

No answer at all changes nothing. Silence is 2.5 adverts that fail to come, or a master's goodbye: keepalived itself
waits for three. The answers of a resolver that lies differ, those of one that says what has changed do not.

    WAITS -- listed for the hold --> TAKES PART -- two answers without it, then silence ------> LEFT
      ^                                         `- four equal answers without it, no master heard -´ |
      `------------------------------------ listed again ------------------------------------------´

The hold gives the others time to look this node up (docs/fleet.md). One that restarts remembers where it stood.
"""
