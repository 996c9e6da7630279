r"""Priors: the laws from which a store's coefficients are drawn once.

Each prior is a frozen object with its quantile function; a draw is ``quantile(u)`` of a uniform
number that belongs to one symbol, customer and product alone (:mod:`retail_gym.rng`). So each
symbol has its own stream, and adding customers or products changes nobody's coefficients.

Coefficients per customer *and* product come by the million. For them the normal family offers
:meth:`Prior.from_words`, which uses the cheap normal of :mod:`retail_gym.rng`.
Source: Tables 3 and 5 of the paper use exactly these families.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from retail_gym import rng
from retail_gym.config import check_choice, check_finite
from retail_gym.world.truncated import truncated_normal_quantile

__all__ = [
    "Beta",
    "Constant",
    "Gumbel",
    "HalfNormal",
    "Laplace",
    "Listed",
    "LogNormal",
    "LogitBeta",
    "MinGumbel",
    "Normal",
    "Prior",
    "ScaledBeta",
    "TruncatedNormal",
    "Uniform",
    "as_prior",
    "truncated_normal_quantile",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Prior:
    """Base of all priors: a law given by its quantile function."""

    kind: ClassVar[str] = ""

    def quantile(self, u: ArrayLike) -> Floats:
        """Return the value below which a share ``u`` in (0, 1) of the law lies."""
        raise NotImplementedError

    def from_words(self, words: NDArray[np.uint32]) -> Floats:
        """Return one draw per 32-bit word; the normal family has a faster way."""
        return self.quantile(rng.uniform(words))

    def _check(self, **bounds: tuple[float, float]) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = bounds.get(field.name, (-math.inf, math.inf))
            if field.name in ("low", "high") and isinstance(value, int | float):
                if math.isnan(value):
                    raise ValueError(f"{type(self).__name__}.{field.name} must not be NaN")
                continue
            check_finite(f"{type(self).__name__}.{field.name}", value, low, high)


_POSITIVE = (1e-300, math.inf)


@dataclass(frozen=True)
class Constant(Prior):
    """Always the same value."""

    value: float
    kind: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        self._check()

    def quantile(self, u: ArrayLike) -> Floats:
        return np.full(np.shape(u), float(self.value))


@dataclass(frozen=True)
class Normal(Prior):
    """N(mean, sd)."""

    mean: float
    sd: float
    kind: ClassVar[str] = "normal"

    def __post_init__(self) -> None:
        self._check(sd=_POSITIVE)

    def quantile(self, u: ArrayLike) -> Floats:
        return np.asarray(self.mean + self.sd * special.ndtri(np.asarray(u, dtype=np.float64)))

    def from_words(self, words: NDArray[np.uint32]) -> Floats:
        return self.mean + self.sd * rng.normal(words)


@dataclass(frozen=True)
class LogNormal(Prior):
    """exp of N(mu, sigma): mu and sigma are those of the underlying normal."""

    mu: float
    sigma: float
    kind: ClassVar[str] = "lognormal"

    def __post_init__(self) -> None:
        self._check(sigma=_POSITIVE)

    def quantile(self, u: ArrayLike) -> Floats:
        return np.asarray(np.exp(self.mu + self.sigma * special.ndtri(np.asarray(u, dtype=float))))

    def from_words(self, words: NDArray[np.uint32]) -> Floats:
        table = np.exp(self.mu + self.sigma * rng.normal_lattice())  # one exponential per point
        return np.asarray(table[rng.byte_sum(words)])


@dataclass(frozen=True)
class HalfNormal(Prior):
    """|N(0, sd)|."""

    sd: float
    kind: ClassVar[str] = "half_normal"

    def __post_init__(self) -> None:
        self._check(sd=_POSITIVE)

    def quantile(self, u: ArrayLike) -> Floats:
        return np.asarray(self.sd * special.ndtri(0.5 + 0.5 * np.asarray(u, dtype=np.float64)))


@dataclass(frozen=True)
class TruncatedNormal(Prior):
    """N(mean, sd) given that it lies in [low, high]."""

    mean: float
    sd: float
    low: float = -math.inf
    high: float = math.inf
    kind: ClassVar[str] = "truncated_normal"

    def __post_init__(self) -> None:
        self._check(sd=_POSITIVE)
        if not self.low < self.high:
            raise ValueError(
                f"TruncatedNormal needs low < high, got low={self.low!r}, high={self.high!r}"
            )

    def quantile(self, u: ArrayLike) -> Floats:
        return truncated_normal_quantile(u, self.mean, self.sd, self.low, self.high)


@dataclass(frozen=True)
class Gumbel(Prior):
    """Gumbel (largest extreme value) with location and scale."""

    loc: float
    scale: float
    kind: ClassVar[str] = "gumbel"

    def __post_init__(self) -> None:
        self._check(scale=_POSITIVE)

    def quantile(self, u: ArrayLike) -> Floats:
        return np.asarray(self.loc - self.scale * np.log(-np.log(np.asarray(u, dtype=np.float64))))


@dataclass(frozen=True)
class MinGumbel(Prior):
    """Gumbel of the smallest extreme value: a long tail to the left."""

    loc: float
    scale: float
    kind: ClassVar[str] = "min_gumbel"

    def __post_init__(self) -> None:
        self._check(scale=_POSITIVE)

    def quantile(self, u: ArrayLike) -> Floats:
        return np.asarray(self.loc + self.scale * np.log(-np.log1p(-np.asarray(u, dtype=float))))


@dataclass(frozen=True)
class Laplace(Prior):
    """Laplace (two-sided exponential) with a location and a standard deviation."""

    loc: float
    sd: float
    kind: ClassVar[str] = "laplace"

    def __post_init__(self) -> None:
        self._check(sd=_POSITIVE)

    def quantile(self, u: ArrayLike) -> Floats:
        u = np.asarray(u, dtype=float)
        side = self.sd / math.sqrt(2.0) * np.log(2.0 * np.minimum(u, 1.0 - u))  # <= 0
        return np.asarray(self.loc + np.where(u < 0.5, side, -side))


@dataclass(frozen=True)
class Uniform(Prior):
    """Uniform on [low, high]."""

    low: float
    high: float
    kind: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        check_finite("Uniform.low", self.low)
        check_finite("Uniform.high", self.high)
        if self.low > self.high:
            raise ValueError(f"Uniform needs low <= high, got {self.low!r} and {self.high!r}")

    def quantile(self, u: ArrayLike) -> Floats:
        return np.asarray(self.low + (self.high - self.low) * np.asarray(u, dtype=np.float64))


@dataclass(frozen=True)
class LogitBeta(Prior):
    """Log-odds of a Beta(a, b): the utility of a choice whose probability is a Beta number."""

    a: float
    b: float
    kind: ClassVar[str] = "logit_beta"

    def __post_init__(self) -> None:
        self._check(a=_POSITIVE, b=_POSITIVE)

    def quantile(self, u: ArrayLike) -> Floats:
        u = np.asarray(u, dtype=np.float64)
        share = special.betaincinv(self.a, self.b, u)
        rest = special.betaincinv(self.b, self.a, 1 - u)
        return np.asarray(np.log(share) - np.log(rest))


@dataclass(frozen=True)
class Beta(Prior):
    """Beta(a, b) on [0, 1]."""

    a: float
    b: float
    kind: ClassVar[str] = "beta"

    def __post_init__(self) -> None:
        low, high = _POSITIVE
        quick = type(self.a) is type(self.b) is float and low <= min(self.a, self.b)
        if not (quick and max(self.a, self.b) < high):  # agents make two laws every week
            self._check(a=_POSITIVE, b=_POSITIVE)

    @property
    def mean(self) -> float:
        """The mean, a / (a + b)."""
        return self.a / (self.a + self.b)

    def quantile(self, u: ArrayLike) -> Floats:
        return np.asarray(special.betaincinv(self.a, self.b, np.asarray(u, dtype=np.float64)))

    def from_words(self, words: NDArray[np.uint32]) -> Floats:
        return rng.beta(words, self.a, self.b)


@dataclass(frozen=True)
class ScaledBeta(Prior):
    """Beta(a, b) stretched to [low, high]."""

    a: float
    b: float
    low: float
    high: float
    kind: ClassVar[str] = "scaled_beta"

    def __post_init__(self) -> None:
        self._check(a=_POSITIVE, b=_POSITIVE)
        Uniform(self.low, self.high)  # checks the ends

    def quantile(self, u: ArrayLike) -> Floats:
        return np.asarray(self.low + (self.high - self.low) * Beta(self.a, self.b).quantile(u))


@dataclass(frozen=True)
class Listed(Prior):
    """Given values, one per item in order (per category, say): estimates instead of a law."""

    values: tuple[float, ...]
    kind: ClassVar[str] = "listed"

    def __post_init__(self) -> None:
        found = tuple(check_finite("Listed.values", value) for value in self.values)
        if not found:
            raise ValueError("Listed.values must hold at least one number")
        object.__setattr__(self, "values", found)

    def quantile(self, u: ArrayLike) -> Floats:
        """The value below which a share ``u`` of the list lies."""
        place = np.asarray(u, dtype=np.float64) * len(self.values)
        return np.sort(self.values)[np.minimum(place.astype(np.int64), len(self.values) - 1)]

    def of_items(self, what: str, n: int) -> Floats:
        """The values of items 0..n-1.

        Raises:
            ValueError: if the list is not of n values.
        """
        if len(self.values) != n:
            raise ValueError(f"{what} lists {len(self.values)} values for {n} items")
        return np.array(self.values)


_KINDS: dict[str, Callable[..., Prior]] = {
    cls.kind: cls
    for cls in (
        Constant, Normal, LogNormal, HalfNormal, TruncatedNormal, Gumbel, MinGumbel, Laplace,
        Uniform, Beta, LogitBeta, ScaledBeta, Listed,
    )
}  # fmt: skip


def as_prior(what: str, value: Any) -> Prior:
    """Turn a prior, a number (a constant) or a table from TOML into a prior.

    Raises:
        ValueError: if it is none of these, naming the kinds and their parameters.
    """
    if isinstance(value, Prior):
        return value
    if isinstance(value, Mapping):
        table = dict(value)
        kind = table.pop("kind", None)
        check_choice(f"kind of prior for {what}", kind, _KINDS)
        cls = _KINDS[kind]
        try:
            return cls(**table)
        except TypeError:
            names = ", ".join(field.name for field in fields(cls))  # type: ignore[arg-type]
            raise ValueError(
                f"{what}: a {kind} prior takes {names}, got {', '.join(table) or 'nothing'}"
            ) from None
    if isinstance(value, int | float | np.floating | np.integer) and not isinstance(value, bool):
        return Constant(float(value))
    raise ValueError(f"{what} must be a number or a prior such as Normal(0, 1), got {value!r}")
