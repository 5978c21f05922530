"""What an operator asks: of a running node, and of a machine before one runs."""
