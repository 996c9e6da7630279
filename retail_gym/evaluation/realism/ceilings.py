"""How well real customers score against other real customers: what no simulator need beat."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from retail_gym.config import check_int
from retail_gym.data.table import Transactions
from retail_gym.evaluation.realism.scores import SCORES, profile, score

__all__ = ["Ceiling", "noise_ceiling"]


@dataclass(frozen=True)
class Ceiling:
    """Scores of random sets of real customers; an average, not a bound."""

    size: int  # customers on each side
    repeats: int
    against: str | None  # name of the fixed side; None where both sides were drawn
    mean: dict[str, float] = field(repr=False)
    sd: dict[str, float] = field(repr=False)  # over the repeats

    def describe(self) -> str:
        """How it was made."""
        other = "as many others" if self.against is None else self.against
        return f"{self.size} random real customers against {other}, {self.repeats} draws"


def noise_ceiling(
    pool: Transactions,
    size: int | None = None,
    *,
    against: Transactions | None = None,
    repeats: int = 20,
    seed: int = 0,
) -> Ceiling:
    """Score random sets of real customers against each other, or against one fixed table.

    Args:
        pool: real customers to draw from, without replacement; those of ``against`` are left out.
        size: customers on each side: by default as many as ``against`` has, and half of the pool
            without it.
        against: the fixed side; by default both sides are drawn, without a customer in common.
        repeats: draws, at least 2. The standard error of a mean is its sd / sqrt(repeats).
        seed: of the draws.

    Returns:
        Mean and standard deviation of every score.

    Raises:
        ValueError: if the pool has too few customers.
    """
    repeats, seed = check_int("repeats", repeats, 2), check_int("seed", seed, 0)
    fixed = None if against is None else profile(against)
    if against is None:
        candidates = np.sort(pool.customers)
        size = check_int("size", candidates.size // 2 if size is None else size, 1)
    else:
        candidates = np.setdiff1d(pool.customers, against.customers)
        size = check_int(
            "size", against.n_customers if size is None else size,
            against.n_customers, against.n_customers,
        )  # fmt: skip
    needed = size if against is not None else 2 * size
    if candidates.size < needed:
        raise ValueError(
            f"a ceiling of {size} customers needs {needed} to draw from; {pool.name} has "
            f"{candidates.size}"
        )
    runs = []
    for k in range(repeats):
        # Each draw has its own stream: the first draws stay when more are asked for.
        drawn = np.random.default_rng([seed, k]).choice(candidates, needed, replace=False)
        one = profile(pool.select(drawn[:size]))
        other = fixed if fixed is not None else profile(pool.select(drawn[size:]))
        runs.append(score(other, one))
    table = {key: np.array([run[key] for run in runs]) for key in SCORES}
    return Ceiling(
        size,
        repeats,
        None if against is None else against.name,
        {key: float(values.mean()) for key, values in table.items()},
        {key: float(values.std(ddof=1)) for key, values in table.items()},
    )
