"""``ka doctor``: why does my VIP not work? Findings, each with a code, a sentence and its cure."""
