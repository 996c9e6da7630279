r"""LinUCB: per arm a linear model of the reward, and optimism in the face of uncertainty.

.. math:: k = \arg\max_k\; \hat\theta_k^\top x + \alpha \sqrt{x^\top A_k^{-1} x}

Disjoint linear models, Algorithm 1 of Li, Chu, Langford and Schapire (2010, arXiv 1003.0146).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.coupon_training import train_bandit
from agents.linear_arms import LinearArms
from retail_gym.config import check_finite
from retail_gym.envs.coupons import COUPON_LEVELS

Ints = NDArray[np.int64]

__all__ = ["LinUCB", "load", "train"]


class LinUCB:
    """The policy: contexts in, arms out. Deterministic.

    Args:
        model: statistics of the arms.
        alpha: weight of the width, >= 0; 0 is greedy.
        forget: what an update keeps of earlier statistics, in [0, 1].
    """

    def __init__(self, model: LinearArms, alpha: float = 1.0, forget: float = 1.0) -> None:
        self.model = model
        self.alpha = check_finite("alpha", alpha, 0.0)
        self.forget = check_finite("forget", forget, 0.0, 1.0)

    def __repr__(self) -> str:
        return f"LinUCB(alpha={self.alpha})"

    def __call__(self, observation: ArrayLike, week: int) -> Ints:
        """Arms, shape (U,), for contexts of shape (U, d)."""
        mean, width = self.model.predict(observation)
        return np.asarray((mean + self.alpha * width).argmax(axis=1), dtype=np.int64)

    def update(self, contexts: ArrayLike, arms: ArrayLike, rewards: ArrayLike) -> None:
        """Learn from decisions: contexts (N, d), arms (N,), rewards (N,)."""
        self.model = self.model.updated(contexts, arms, rewards, self.forget)

    def save(self, directory: Path) -> None:
        """Write ``linucb.npz``."""
        self.model.save(Path(directory) / "linucb.npz", alpha=self.alpha, forget=self.forget)


#: Hyper-parameters.
_DEFAULTS: Final[dict[str, Any]] = {"alpha": 0.1, "ridge": 1.0, "online_episodes": 0}


def _fit(contexts: Any, arms: Any, rewards: Any, kw: dict[str, Any], seed: int) -> LinUCB:
    model = LinearArms.standardised(contexts, COUPON_LEVELS.size, kw["ridge"])
    return LinUCB(model.updated(contexts, arms, rewards), kw["alpha"])


def train(
    task: str, *, seed: int = 0, steps: int | None = None, directory: Path, **options: Any
) -> LinUCB:
    """Fit on logged uniform random coupons, then learn online.

    See :func:`agents.coupon_training.train_bandit` for the options. Hyper-parameters: ``alpha``
    (weight of the width), ``ridge`` (of the standardised contexts) and ``online_episodes``.
    """
    return train_bandit(
        "linucb", task, _DEFAULTS, _fit, seed=seed, steps=steps, directory=directory, **options
    )


def load(directory: Path) -> LinUCB:
    """The policy that :func:`train` or ``save`` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not such a file.
    """
    model, (alpha, forget) = LinearArms.load(Path(directory) / "linucb.npz", "alpha", "forget")
    return LinUCB(model, alpha, forget)
