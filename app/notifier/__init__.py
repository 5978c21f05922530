"""The notifier: hears every transition from keepalived and runs the operator's hooks, in order and never in its way."""
