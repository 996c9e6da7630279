r"""LinUCB: per arm a linear model of the reward, and optimism in the face of uncertainty.

.. math:: k = \arg\max_k\; \hat\theta_k^\top x + \alpha \sqrt{x^\top A_k^{-1} x}

Disjoint linear models, Algorithm 1 of Li, Chu, Langford and Schapire (2010, arXiv 1003.0146).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.coupon_training import train_bandit
from agents.linear_arms import DEFAULTS, LinearPolicy, fit_arms

Ints = NDArray[np.int64]

__all__ = ["LinUCB", "load", "train"]


class LinUCB(LinearPolicy):
    """The policy: contexts in, arms out. Deterministic.

    Args:
        model: statistics of the arms.
        alpha: weight of the width, >= 0; 0 is greedy.
        forget: what an update keeps of earlier statistics, in [0, 1].
    """

    file = "linucb.npz"

    def __call__(self, observation: ArrayLike, week: int) -> Ints:
        """Arms, shape (U,), for contexts of shape (U, d)."""
        mean, width = self.model.predict(observation)
        return np.asarray((mean + self.alpha * width).argmax(axis=1), dtype=np.int64)


load = LinUCB.load


def _fit(contexts: Any, arms: Any, rewards: Any, kw: dict[str, Any], seed: int) -> LinUCB:
    return LinUCB(fit_arms(contexts, arms, rewards, kw["ridge"]), kw["alpha"])


def train(
    task: str, *, seed: int = 0, steps: int | None = None, directory: Path, **options: Any
) -> LinUCB:
    """Fit on logged uniform random coupons, then learn online.

    See :func:`agents.coupon_training.train_bandit` for the options. Hyper-parameters: ``alpha``
    (weight of the width), ``ridge`` (of the standardised contexts) and ``online_episodes``.
    """
    return train_bandit(
        "linucb", task, DEFAULTS, _fit, seed=seed, steps=steps, directory=directory, **options
    )
