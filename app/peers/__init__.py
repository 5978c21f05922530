"""The sibling that looks up the names of unicast peers, and says when this node may take part."""
