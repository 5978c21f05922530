"""The lease: a VIP stays with a node only as long as adverts of this node leave it, for the kernel counts."""
