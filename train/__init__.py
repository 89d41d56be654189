"""Workshop: run as `python -m train` from a checkout."""
