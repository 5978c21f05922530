"""docker-keepalived: a highly available IP address, told everything by ``KA_*`` environment variables."""

__version__ = "0.1.0"
