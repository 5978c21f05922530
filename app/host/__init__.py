"""What settings and plan need to know of this machine: links, names, accounts, files. They ask nobody themselves."""
