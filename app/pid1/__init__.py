"""The process that stays: supervisord in-process, what follows from its events, and the log's way."""
