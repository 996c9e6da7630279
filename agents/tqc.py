"""Truncated quantile critics (Kuznetsov et al. 2020): SAC with a distributional critic."""

from __future__ import annotations

from functools import partial
from typing import Final

from agents.library import Algorithm, load, train_model
from agents.sac import search_space

__all__ = ["ALGORITHM", "load", "search_space", "train"]

ALGORITHM: Final = Algorithm("tqc", "sb3_contrib", "TQC")

#: Train on a task; see :func:`agents.library.train_model` for the options.
train: Final = partial(train_model, ALGORITHM)
