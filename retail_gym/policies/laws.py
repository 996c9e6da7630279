"""Laws of a random action: draws, and how probable the action drawn was.

A law's *propensity* is what off-policy estimators divide by: a probability where there are
finitely many actions, a density with respect to the area of the action box (per unit of depth and
per unit of frequency) where there is a continuum. Both have the same unit for two policies over
the same actions, so their ratio has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from retail_gym.config import check_finite
from retail_gym.world.truncated import truncated_normal_quantile

Floats = NDArray[np.float64]

__all__ = ["Categorical", "Law", "Mixture", "TruncatedNormal", "UniformBox"]

#: Probabilities that sum to 1 within this are rounding.
_ROUNDING = 1e-6


class Law(Protocol):
    """The law of one week's action."""

    def sample(self, generator: np.random.Generator) -> NDArray[Any]:
        """One action."""

    def propensity(self, action: ArrayLike) -> Floats:
        """Probability or density of an action: a number, or one for each independent part."""

    def support(self, draws: int, generator: np.random.Generator) -> tuple[NDArray[Any], Floats]:
        """Actions along the first axis with weights that sum to 1 there, for expectations."""


@dataclass(frozen=True, eq=False)
class Categorical:
    """Finitely many actions 0..K-1, for one decision or for several that are independent.

    Args:
        probabilities: shape (..., K), >= 0, each row sums to 1.

    Raises:
        ValueError: for anything else.
    """

    probabilities: Floats

    def __post_init__(self) -> None:
        p = np.asarray(self.probabilities, dtype=np.float64)
        sums_to_one = p.ndim >= 1 and bool((np.abs(p.sum(axis=-1) - 1.0) <= _ROUNDING).all())
        if not sums_to_one or not (p >= 0.0).all():
            raise ValueError("probabilities must not be negative and must sum to 1 in every row")
        object.__setattr__(self, "probabilities", p)

    def sample(self, generator: np.random.Generator) -> NDArray[np.int64]:
        """Actions, shape (...): one uniform number each, by the inverse of the cumulated law."""
        p = self.probabilities
        cumulative = p.cumsum(axis=-1)
        draw = generator.random((*p.shape[:-1], 1)) * cumulative[..., -1:]
        below = (draw >= cumulative[..., :-1]).sum(axis=-1)
        # Where rounding ran past the last possible action, the last possible one.
        last = p.shape[-1] - 1 - (p[..., ::-1] > 0.0).argmax(axis=-1)
        return np.asarray(np.minimum(below, last), dtype=np.int64)

    def propensity(self, action: ArrayLike) -> Floats:
        """Probabilities of the actions, shape (...)."""
        index = np.asarray(action)[..., None]
        return np.asarray(np.take_along_axis(self.probabilities, index, axis=-1)[..., 0])

    def support(
        self, draws: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.int64], Floats]:
        """All K actions, shape (K, ...), and their probabilities: nothing is drawn."""
        weights = np.moveaxis(self.probabilities, -1, 0)
        index = np.arange(len(weights)).reshape(-1, *[1] * (weights.ndim - 1))
        return np.broadcast_to(index, weights.shape), weights


class _Continuous:
    """What laws over a box share: float32 actions, expectations by draws."""

    def sample(self, generator: np.random.Generator) -> NDArray[np.float32]:
        raise NotImplementedError

    def support(
        self, draws: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.float32], Floats]:
        """Independent draws, shape (draws, A), of equal weight."""
        actions = np.stack([self.sample(generator) for _ in range(draws)])
        return actions, np.full(draws, 1.0 / draws)


@dataclass(frozen=True, eq=False)
class UniformBox(_Continuous):
    """Every action of a box alike.

    Args:
        low: lower ends, shape (A,).
        high: upper ends, shape (A,), above ``low``.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def sample(self, generator: np.random.Generator) -> NDArray[np.float32]:
        """An action, shape (A,)."""
        span = self.high - self.low
        return np.asarray(
            self.low + generator.random(self.low.size, dtype=np.float32) * span, dtype=np.float32
        )

    def propensity(self, action: ArrayLike) -> Floats:
        r"""Density :math:`1 / \prod_a (high_a - low_a)`, 0 outside."""
        x = np.asarray(action)
        inside = ((x >= self.low) & (x <= self.high)).all(axis=-1)
        area = np.prod(np.asarray(self.high, np.float64) - self.low)
        return np.asarray(inside / area)


@dataclass(frozen=True, eq=False)
class TruncatedNormal(_Continuous):
    r"""Independent normal laws cut to a box, exactly normalised.

    .. math:: f(x) = \prod_a \frac{\varphi((x_a - m_a)/s_a)}
              {s_a\,(\Phi((h_a - m_a)/s_a) - \Phi((l_a - m_a)/s_a))}

    Args:
        mean: m, shape (A,), before the cut; inside the box.
        sd: s, shape (A,), before the cut, > 0.
        low: l, shape (A,).
        high: h, shape (A,).
    """

    mean: Floats
    sd: Floats
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    @cached_property
    def _log_norm(self) -> float:
        a, b = (self.low - self.mean) / self.sd, (self.high - self.mean) / self.sd
        mass = special.ndtr(b) - special.ndtr(a)
        return float(np.log(self.sd * mass).sum() + 0.5 * len(self.mean) * np.log(2.0 * np.pi))

    def sample(self, generator: np.random.Generator) -> NDArray[np.float32]:
        """An action, shape (A,)."""
        u = generator.random(self.mean.size)
        x = truncated_normal_quantile(u, self.mean, self.sd, self.low, self.high)
        return np.asarray(np.clip(x.astype(np.float32), self.low, self.high))

    def propensity(self, action: ArrayLike) -> Floats:
        """Density, 0 outside the box."""
        x = np.asarray(action, dtype=np.float64)
        inside = ((x >= self.low) & (x <= self.high)).all(axis=-1)
        z = (x - self.mean) / self.sd
        return np.where(inside, np.exp(-0.5 * (z * z).sum(axis=-1) - self._log_norm), 0.0)

    def support(
        self, draws: int, generator: np.random.Generator
    ) -> tuple[NDArray[np.float32], Floats]:
        """Draws in one call, shape (draws, A), of equal weight."""
        u = generator.random((draws, self.mean.size))
        x = truncated_normal_quantile(u, self.mean, self.sd, self.low, self.high)
        actions: NDArray[np.float32] = np.clip(x.astype(np.float32), self.low, self.high)
        return actions, np.full(draws, 1.0 / draws)


@dataclass(frozen=True, eq=False)
class Mixture(_Continuous):
    """One law with probability 1 - share, another with probability share.

    Args:
        law: the one.
        other: the other, over the same box.
        share: of the other, in [0, 1].
    """

    law: Law
    other: Law
    share: float

    def __post_init__(self) -> None:
        check_finite("share", self.share, 0.0, 1.0)

    def sample(self, generator: np.random.Generator) -> NDArray[np.float32]:
        """An action of the one or the other."""
        chosen = self.other if generator.random() < self.share else self.law
        return chosen.sample(generator)

    def propensity(self, action: ArrayLike) -> Floats:
        """The mixed density."""
        one, other = self.law.propensity(action), self.other.propensity(action)
        return np.asarray((1.0 - self.share) * one + self.share * other)
