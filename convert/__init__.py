"""Workshop: run as `python -m convert` from a checkout."""
