"""The leaderboard: every reference and every learning agent on every task, with intervals.

``board.py`` says what is run, ``cells.py`` runs it piece by piece, ``table.py`` makes tables of
the raw results, and ``python -m experiments.leaderboard`` is the command.
"""
