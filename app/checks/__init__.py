"""The http-checker: probes targets and publishes a verdict for keepalived."""
