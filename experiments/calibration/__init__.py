"""How real is the Complete Journey store: goals, ceilings, parts, complements and prices.

``python -m experiments.calibration``; the command is described in ``__main__``.
"""
