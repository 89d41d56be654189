"""Workshop: run as `python -m benchmarks` from a checkout."""
