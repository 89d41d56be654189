"""`acwskd-edge bench`: does a bundle still answer right on this very device, and how long does it take?

Needs numpy and the runtime of the artefacts, nothing else. measure.py puts together what latency.py times, what
conditions.py and board.py say of the machine, and what fresh.py finds in a process of its own; document.py is the
answer.
"""
