"""The only place that asks the kernel, DNS, accounts and the operator's files."""
