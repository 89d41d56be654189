"""Measuring on whatever device this is.

Needs numpy and the runtime of the artefacts, nothing else. latency.py times, conditions.py watches the machine,
fresh.py starts processes of their own.
"""
