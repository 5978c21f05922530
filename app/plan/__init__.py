"""What will be done on this host: settings and host facts made one frozen description, and the rules for it; no I/O."""
