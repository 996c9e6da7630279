"""Drift: has something changed between two tables, or from one week on?

Nine figures of purchases (``figures``) are compared, each by a permutation test.

What is exchangeable if nothing changed? Two tables of different customers: the customers. The same
customers before and after: the weeks, for a week's promotions and season move everybody at once; to
permute customers would raise an alarm at every promotion. Where visits depend on the week before,
means of weeks vary more than permuted ones: differences of ratios are divided by what a first-order
autocorrelation, estimated from both sides, adds to their standard deviation.
The p-values of the figures are taken together by Benjamini and Hochberg's step-up rule, which under
"nothing changed" raises any alarm at all with probability of at most ``rate``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_choice, check_finite, check_int
from retail_gym.data.table import Transactions
from retail_gym.evaluation.drift.figures import FIGURES, Sums, stacked, sums_of
from retail_gym.evaluation.measures import plain_number

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]

__all__ = ["FIGURES", "Change", "Drift", "Watch", "benjamini_hochberg", "drift", "watch"]

UNITS: Final = ("auto", "customers", "weeks")
#: Permutations at a time, to bound memory.
_BLOCK: Final = 64
#: Choices for each pair of permutations above which none is looked for that was drawn twice.
_MANY: Final = 1_000_000


@dataclass(frozen=True)
class Change:
    """One figure, before and after.

    Of a mix, ``before`` is what two tables differ by where nothing changed (the mean over
    permutations) and ``after`` the distance found.
    """

    figure: str
    before: float
    after: float
    p_value: float
    alarm: bool


@dataclass(frozen=True)
class Drift:
    """What :func:`drift` found."""

    before: str
    after: str
    unit: str  # what was permuted
    rate: float  # chance of any alarm if nothing changed
    changes: tuple[Change, ...] = field(repr=False)

    @property
    def alarm(self) -> bool:
        """Whether any figure changed."""
        return any(change.alarm for change in self.changes)

    def table(self) -> pl.DataFrame:
        """One row a figure."""
        import polars as pl

        return pl.DataFrame([asdict(change) for change in self.changes])

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON allows it."""
        plain: dict[str, Any] = plain_number(asdict(self) | {"alarm": self.alarm})
        return plain

    def describe(self) -> str:
        """The report as text."""
        lines = [
            f"{self.after} against {self.before}: {'DRIFT' if self.alarm else 'no drift found'} "
            f"({self.unit} permuted; a false alarm with probability {self.rate:g})",
            f"  {'':30}{'before':>10}{'after':>10}{'p':>10}",
        ]
        lines += [
            f"  {FIGURES[c.figure]:30}{c.before:>10.4g}{c.after:>10.4g}{c.p_value:>10.2g}"
            f"{'  ALARM' if c.alarm else ''}"
            for c in self.changes
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Watch:
    """What :func:`watch` found: for each week looked at, the figures with an alarm."""

    weeks: tuple[int, ...]
    alarms: tuple[tuple[str, ...], ...]

    @property
    def first(self) -> int | None:
        """The first week with an alarm."""
        return next((week for week, a in zip(self.weeks, self.alarms, strict=True) if a), None)


def benjamini_hochberg(p_values: Floats, rate: float) -> NDArray[np.bool_]:
    """Which of several tests reject at a false discovery rate; nan never does."""
    p = np.where(np.isnan(p_values), 1.0, p_values)
    order = np.argsort(p, kind="stable")
    passed = np.flatnonzero(p[order] <= rate * np.arange(1, p.size + 1) / p.size)
    found = np.zeros(p.size, dtype=bool)
    if passed.size:
        found[order[: passed[-1] + 1]] = True
    return found & ~np.isnan(p_values)


def _jensen_shannon(one: Floats, other: Floats) -> Floats:
    """Jensen-Shannon distance (base 2) of counts, along the last axis."""
    p, q = (side / np.maximum(side.sum(axis=-1, keepdims=True), 1.0) for side in (one, other))
    middle = 0.5 * (p + q)

    def entropy(share: Floats) -> Floats:
        logs = np.log2(share, out=np.zeros_like(share), where=share > 0.0)
        return np.asarray(-(share * logs).sum(axis=-1))

    return np.sqrt(np.maximum(entropy(middle) - 0.5 * (entropy(p) + entropy(q)), 0.0))


def _inflation(weekly: Floats, after_n: NDArray[np.bool_]) -> Floats:
    """What autocorrelation adds to the standard deviation of differences of means, by column.

    The variance of a mean of n weeks with autocorrelation r^k at lag k is 1 + 2 sum_k (1 - k/n) r^k
    times that of independent ones; r is the lag-1 correlation about each side's mean, plus
    (1 + 3 r) / N for its bias (Kendall 1954), at least 0.
    """
    sides = [weekly[~after_n], weekly[after_n]]
    centred = [side - side.mean(axis=0) for side in sides]
    lagged = sum((c[1:] * c[:-1]).sum(axis=0) for c in centred)
    total = sum((c**2).sum(axis=0) for c in centred)
    r = np.divide(lagged, total, out=np.zeros_like(total), where=total > 0.0)
    r = np.clip(r + (1.0 + 3.0 * r) / len(weekly), 0.0, 0.9)
    variance, plain = np.zeros_like(r), 0.0
    for side in sides:
        n = len(side)
        lag = np.arange(1, n)[:, None]
        variance += (1.0 + 2.0 * ((1.0 - lag / n) * r**lag).sum(axis=0)) / n
        plain += 1.0 / n
    return np.asarray(np.sqrt(variance / plain))


def _labelings(
    after_n: NDArray[np.bool_], permutations: int, generator: np.random.Generator
) -> Iterator[NDArray[np.bool_]]:
    """Other choices of as many units after, in blocks (B, N), at most ``permutations`` in all.

    Each once and never the one that was observed: of few weeks that one is drawn soon, and a
    change that no other choice equals would count as common. The p-value stays exact, for the
    choices drawn are a random subset of those there are. Of many units none is drawn twice.
    """
    size, after = after_n.size, int(after_n.sum())
    choices = math.lgamma(size + 1) - math.lgamma(after + 1) - math.lgamma(size - after + 1)
    if choices < math.log(_MANY * permutations**2):
        drawn = generator.permuted(np.tile(after_n, (permutations, 1)), axis=1)
        drawn = np.unique(drawn, axis=0)
        drawn = drawn[(drawn != after_n).any(axis=1)]
        yield from (drawn[low : low + _BLOCK] for low in range(0, len(drawn), _BLOCK))
        return
    for low in range(0, permutations, _BLOCK):
        block = np.tile(after_n, (min(_BLOCK, permutations - low), 1))
        yield generator.permuted(block, axis=1)


def _compare(
    sums: Sums,
    unit: str,
    after_n: NDArray[np.bool_],
    rate: float,
    permutations: int,
    generator: np.random.Generator,
) -> tuple[Change, ...]:
    """Changes between the units before and after."""
    total_above, total_below = sums.above.sum(axis=0), sums.below.sum(axis=0)
    totals = [np.asarray(mix.sum(axis=0)) for mix in sums.mixes]

    def figures(side: Floats) -> tuple[Floats, Floats, list[Floats]]:
        """Ratios before and after, and mixes' distances, for rows of zeros and ones (B, N)."""
        above, below = side @ sums.above, side @ sums.below
        with np.errstate(invalid="ignore", divide="ignore"):
            after = above / below
            before = (total_above - above) / (total_below - below)
        mixed = []
        for mix, total in zip(sums.mixes, totals, strict=True):
            counts = np.asarray(mix.T.dot(side.T)).T
            mixed.append(_jensen_shannon(counts, total - counts))
        return before, after, mixed

    before, after, mixed = figures(after_n[None].astype(np.float64))
    scale = np.ones(before.shape[1])
    if unit == "weeks":
        # Weeks without a trip have no ratio: their side's stands in.
        with np.errstate(invalid="ignore", divide="ignore"):
            weekly = sums.above / sums.below
        usual = np.where(after_n[:, None], after, before)
        scale = _inflation(np.where(np.isfinite(weekly), weekly, usual), after_n)
    found = np.concatenate([np.abs(after - before)[0] / scale, [m[0] for m in mixed]])
    as_large, mean_mix = np.zeros(found.size), np.zeros(len(mixed))
    others = 0
    for block in _labelings(after_n, permutations, generator):
        others += len(block)
        b, a, m = figures(block.astype(np.float64))
        drawn = np.concatenate([np.abs(a - b), np.stack(m, axis=1)], axis=1)
        as_large += (drawn >= found * (1.0 - 1e-9)).sum(axis=0)
        mean_mix += np.stack(m, axis=1).sum(axis=0)
    p = np.where(np.isnan(found), np.nan, (1.0 + as_large) / (1.0 + others))
    alarms = benjamini_hochberg(p, rate)
    firsts = np.concatenate([before[0], mean_mix / others])
    seconds = np.concatenate([after[0], [m[0] for m in mixed]])
    return tuple(
        Change(key, float(x), float(y), float(q), bool(alarm))
        for key, x, y, q, alarm in zip(FIGURES, firsts, seconds, p, alarms, strict=True)
    )


def drift(
    before: Transactions,
    after: Transactions,
    *,
    unit: str = "auto",
    rate: float = 0.05,
    permutations: int = 1999,
    seed: int = 0,
) -> Drift:
    """Compare two tables.

    Args:
        before: purchases.
        after: purchases; labels of categories and products mean the same as in ``before``.
        unit: what is exchangeable if nothing changed: "customers", "weeks", or "auto", which is
            weeks where the tables have a customer in common.
        rate: chance of an alarm if nothing changed, in (0, 1).
        permutations: at least 99. The smallest p-value is 1 / (permutations + 1), or of few
            units 1 / the number of ways to choose those after (2 / it where both sides have as
            many: 0.029 for 4 and 4).
        seed: of the permutations.

    Raises:
        ValueError: for another unit, or fewer than four units on a side.
    """
    check_choice("unit", unit, UNITS)
    rate = check_finite("rate", rate, 1e-6, 0.5)
    permutations = check_int("permutations", permutations, 99)
    seed = check_int("seed", seed, 0)
    if unit == "auto":
        same = before.customers.dtype.kind == after.customers.dtype.kind
        shared = same and bool(np.isin(before.customers, after.customers).any())
        unit = "weeks" if shared else "customers"
    one, other = sums_of([before, after], unit)
    sizes = one.above.shape[0], other.above.shape[0]
    if min(sizes) < 4:
        raise ValueError(
            f"drift needs at least 4 {unit} on each side: {before.name} has {sizes[0]}, "
            f"{after.name} {sizes[1]}"
        )
    after_n = np.arange(sum(sizes)) >= sizes[0]
    generator = np.random.default_rng([seed, 30])
    changes = _compare(stacked(one, other), unit, after_n, rate, permutations, generator)
    return Drift(before.name, after.name, unit, rate, changes)


def watch(
    table: Transactions,
    reference: tuple[int, int],
    *,
    window: int = 4,
    rate: float = 0.01,
    permutations: int = 1999,
    seed: int = 0,
) -> Watch:
    """Look at a table week by week: are the last weeks like the reference?

    Args:
        table: purchases.
        reference: first and last week of a time known to be right.
        window: weeks looked at, up to and with the current one. The smallest p-value is that of
            :func:`drift` by weeks; one figure alone raises an alarm at ``rate`` / 9.
        rate: chance of an alarm in a week if nothing changed.
        permutations: for each week, at least 99.
        seed: of the permutations.

    Returns:
        The alarms of every week from the reference's last plus ``window`` on.

    Raises:
        ValueError: for a reference that is not in the table or leaves no week to look at, or is too
            short for an alarm at this rate.
    """
    first = check_int("first reference week", reference[0], 1, table.n_weeks)
    last = check_int("last reference week", reference[1], first + 3, table.n_weeks)
    window = check_int("window", window, 1, table.n_weeks - last)
    rate = check_finite("rate", rate, 1e-6, 0.5)
    permutations = check_int("permutations", permutations, 99)
    seed = check_int("seed", seed, 0)
    length = last - first + 1
    lowest = (1 + (length == window)) / math.comb(length + window, window)
    if lowest > rate:
        raise ValueError(
            f"{length} weeks of reference and a window of {window} never raise an alarm: their "
            f"smallest p-value is {lowest:.2g}, the rate {rate:g}; take more weeks or a higher rate"
        )
    (sums,), alarms = sums_of([table], "weeks"), []
    weeks = tuple(range(last + window, table.n_weeks + 1))
    for week in weeks:
        rows = np.r_[first - 1 : last, week - window : week]
        part = Sums(
            sums.above[rows], sums.below[rows], tuple(m[rows] for m in sums.mixes), sums.labels
        )
        after_n = np.arange(rows.size) >= rows.size - window
        # Choices of its own for every week, so that one unlucky draw does not blind all of them.
        generator = np.random.default_rng([seed, 30, week])
        changes = _compare(part, "weeks", after_n, rate, permutations, generator)
        alarms.append(tuple(change.figure for change in changes if change.alarm))
    return Watch(weeks, tuple(alarms))
