"""The log on its way from the programs of a node to its standard output and to servers.

PID 1 reads /dev/log, decides what a line says (message, transitions, folding, masking, line) and hands it to rsyslog
(intake), which queues it and gets it there (docs/decisions/0005-logs.md).
"""
