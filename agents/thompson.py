r"""Linear Thompson sampling: act on a draw from what the linear model of each arm still allows.

.. math:: k = \arg\max_k\; \tilde\theta_k^\top x,\quad
          \tilde\theta_k \sim N(\hat\theta_k, \alpha^2 A_k^{-1})

with a draw of its own for every customer and arm, so the score of arm k is
:math:`N(\hat\theta_k^\top x,\ \alpha^2\, x^\top A_k^{-1} x)`. Agrawal and Goyal (2013, arXiv
1209.3352).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.coupon_training import train_bandit
from agents.linear_arms import DEFAULTS, LinearArms, LinearPolicy, fit_arms
from retail_gym.envs.coupon_views import policy_stream

Ints = NDArray[np.int64]

__all__ = ["LinearThompson", "load", "train"]

_DRAWS: Final = 0x7504


class LinearThompson(LinearPolicy):
    """The policy: contexts in, arms out, random by ``reset(seed)``.

    Args:
        model: statistics of the arms.
        alpha: scale of the posterior, >= 0; 0 is greedy.
        forget: what an update keeps of earlier statistics, in [0, 1].
        seed: of the draws, until the next ``reset``.
    """

    file = "thompson.npz"

    def __init__(
        self, model: LinearArms, alpha: float = 1.0, forget: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__(model, alpha, forget)
        self.reset(seed)

    def reset(self, seed: int | None = None) -> None:
        """Start the stream of draws of a seed."""
        self._generator = policy_stream(seed, _DRAWS)

    def __call__(self, observation: ArrayLike, week: int) -> Ints:
        """Arms, shape (U,), for contexts of shape (U, d)."""
        mean, width = self.model.predict(observation)
        score = mean + self.alpha * width * self._generator.standard_normal(mean.shape)
        return np.asarray(score.argmax(axis=1), dtype=np.int64)


load = LinearThompson.load


def _fit(contexts: Any, arms: Any, rewards: Any, kw: dict[str, Any], seed: int) -> LinearThompson:
    return LinearThompson(fit_arms(contexts, arms, rewards, kw["ridge"]), kw["alpha"], seed=seed)


def train(
    task: str, *, seed: int = 0, steps: int | None = None, directory: Path, **options: Any
) -> LinearThompson:
    """Fit on logged uniform random coupons, then learn online.

    See :func:`agents.coupon_training.train_bandit` for the options. Hyper-parameters: ``alpha``
    (scale of the posterior), ``ridge`` (of the standardised contexts) and ``online_episodes``.
    """
    return train_bandit(
        "thompson", task, DEFAULTS, _fit, seed=seed, steps=steps, directory=directory, **options
    )
