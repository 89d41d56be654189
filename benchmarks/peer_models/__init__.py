"""Networks that others published, for the same scales as ours; each file says what it follows and where it differs.

Any of them trains as a user's own network does: `python -m train --model benchmarks.peer_models.unext:unext_s ...`.
"""
