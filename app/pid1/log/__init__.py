"""The log on its way from the programs of a node to its standard output and to servers.

PID 1 reads /dev/log (intake) and makes lines of it (pipeline): what a message says, which transition it tells of, how
often it came, what is masked, how it is written. rsyslog queues the lines and gets them there
(docs/decisions/0005-logs.md).
"""
