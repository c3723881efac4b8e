"""Experiments: many runs of one config, and the scores over all of them.

Every trial is an ordinary run directory. An experiment decides which trials there are (``repeat``),
runs them (``workers``), and computes one result. The modules that load torch are imported at the
first use of a function.
"""
