"""What may keep a node with ``dns:`` peers out, as files of PID 1's that keepalived tracks."""

from __future__ import annotations

#: What is open while this node may take part. ``listed``: for those whose names must list it, as an automatic priority
#: must; ``joined``: for those whose names may stand for the other nodes alone.
GATES = LISTED, JOINED = "listed", "joined"

#: What outlives the watch of the peers: the gates, and whether this node was ever listed.
KNOWN = "known"
MEMORY = (*GATES, KNOWN)

#: What such a file says.
OPEN, SHUT = "0\n", "1\n"

#: What is shut while a script check is not run any more (app.pid1.script_checks).
SCRIPTS = "scripts"

#: The file with the addresses that a reload is to drop.
GONE_FILE = "gone-peers"
