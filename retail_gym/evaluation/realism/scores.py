"""How close a simulated table comes to a real one: one score for each measure, one report."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Final

import numpy as np

from retail_gym.data.table import Transactions
from retail_gym.evaluation.realism.baskets import trips_of
from retail_gym.evaluation.realism.distributions import (
    DISTRIBUTIONS,
    HEADLINE,
    WARM_UP,
    Empirical,
    distributions,
    ks_complement,
    wasserstein,
)
from retail_gym.evaluation.realism.joint import (
    JOINT,
    joint_diagnostics,
    penetration_distribution,
)
from retail_gym.evaluation.realism.lift import PairLifts, pair_lifts

if TYPE_CHECKING:
    import polars as pl

    from retail_gym.evaluation.realism.ceilings import Ceiling

__all__ = ["SCORES", "Profile", "RealismReport", "compare", "profile", "score", "upstream_scores"]

MEAN: Final = "mean_of_eight"
#: Key -> title of every score, in the order of the tables. The joint ones and ``lift_w1`` are
#: distances (0 is perfect), the others closeness (1 is perfect).
SCORES: Final = {
    **DISTRIBUTIONS,
    MEAN: "mean of the eight headline distributions",
    "lift_ks": "lift of category pairs",
    "lift_w1": "lift of category pairs (Wasserstein)",
    "pen_ks": "category penetration",
    **JOINT,
}
DISTANCES: Final = ("lift_w1", *JOINT)


@dataclass(frozen=True, eq=False)
class Profile:
    """Everything the scores need of one table, computed once."""

    name: str
    n_customers: int
    n_weeks: int
    distributions: Mapping[str, Empirical] = field(repr=False)  # by the keys of DISTRIBUTIONS
    lifts: PairLifts = field(repr=False)
    penetration: Empirical = field(repr=False)
    joint: Mapping[str, float] = field(repr=False)

    def value(self, key: str) -> float:
        """The table's own figure behind a score: a mean, or the diagnostic itself."""
        if key in self.joint:
            return self.joint[key]
        if key == MEAN:
            return float("nan")
        special = {"lift_ks": self.lifts.distribution, "pen_ks": self.penetration}
        special["lift_w1"] = special["lift_ks"]
        return {**self.distributions, **special}[key].mean


def upstream_scores() -> dict[str, float]:
    """The published KS-complements of RetailSynth's own calibrated run (its notebook).

    100 customers, petrol included, against its sample of 100 households. Its store visits are
    ``visit_week``, by week.
    """
    text = resources.files(__package__).joinpath("upstream.csv").read_text(encoding="utf-8")
    return {row["metric"]: float(row["published"]) for row in csv.DictReader(text.splitlines())}


def profile(table: Transactions) -> Profile:
    """Measure one table.

    Raises:
        ValueError: for a table of three weeks or fewer.
    """
    if table.n_weeks <= WARM_UP:
        raise ValueError(
            f"{table.name} has {table.n_weeks} weeks; realism needs more than {WARM_UP}"
        )
    baskets = trips_of(table)
    return Profile(
        table.name,
        table.n_customers,
        table.n_weeks,
        distributions(table, baskets),
        pair_lifts(baskets),
        penetration_distribution(baskets),
        joint_diagnostics(baskets),
    )


def score(real: Profile, simulated: Profile) -> dict[str, float]:
    """Score one simulated table, by the keys of :data:`SCORES`.

    KS-complements of the distributions, of pair lifts and of category penetration; the
    Wasserstein distance of pair lifts; absolute differences of the joint diagnostics (nan where
    either cannot be computed).

    Raises:
        ValueError: for tables of another number of customers or weeks: several distributions
            depend on it.
    """
    sizes = [(p.n_customers, p.n_weeks) for p in (real, simulated)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"compare tables of equal size: {real.name} has {sizes[0][0]} customers and "
            f"{sizes[0][1]} weeks, {simulated.name} {sizes[1][0]} and {sizes[1][1]} (select "
            "customers with .select or .sample, or simulate as many)"
        )
    found = {
        key: ks_complement(one, simulated.distributions[key])
        for key, one in real.distributions.items()
    }
    found[MEAN] = float(np.mean([found[key] for key in HEADLINE]))
    lifts = real.lifts.distribution, simulated.lifts.distribution
    found["lift_ks"], found["lift_w1"] = ks_complement(*lifts), wasserstein(*lifts)
    found["pen_ks"] = ks_complement(real.penetration, simulated.penetration)
    found |= {key: abs(real.joint[key] - simulated.joint[key]) for key in JOINT}
    return {key: found[key] for key in SCORES}


@dataclass(frozen=True, eq=False)
class RealismReport:
    """Simulated tables against a real one."""

    real: Profile
    simulated: tuple[Profile, ...]
    scores: tuple[dict[str, float], ...]  # one for each simulated table
    ceiling: Ceiling | None = None

    def mean(self, key: str) -> float:
        """Mean of a score over the simulated tables."""
        return float(np.mean([run[key] for run in self.scores]))

    @property
    def frame(self) -> pl.DataFrame:
        """One row a score.

        Columns: metric, title, kind ("closeness": 1 is perfect; "distance": 0 is), real and
        simulated (mean of the distribution, or the diagnostic), score, score_sd (over the
        simulated tables, null for one), ceiling and ceiling_sd (of real against real customers;
        null without a ceiling).
        """
        import polars as pl

        rows = []
        for key, title in SCORES.items():
            values = [run[key] for run in self.scores]
            limit = self.ceiling
            rows.append(
                {
                    "metric": key,
                    "title": title,
                    "kind": "distance" if key in DISTANCES else "closeness",
                    "real": self.real.value(key),
                    "simulated": float(np.mean([one.value(key) for one in self.simulated])),
                    "score": float(np.mean(values)),
                    "score_sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
                    "ceiling": limit.mean[key] if limit else None,
                    "ceiling_sd": limit.sd[key] if limit else None,
                }
            )
        optional = ("score_sd", "ceiling", "ceiling_sd")
        return pl.DataFrame(rows, schema_overrides=dict.fromkeys(optional, pl.Float64))

    def describe(self) -> str:
        """The report as text."""
        first, runs = self.simulated[0], len(self.simulated)
        lines = [
            f"{first.name}{f' and {runs - 1} more' if runs > 1 else ''} against {self.real.name}: "
            f"{self.real.n_customers} customers, {self.real.n_weeks} weeks"
        ]
        if self.ceiling is not None:
            lines.append(f"ceiling: {self.ceiling.describe()}")
        lines.append(
            f"{'':48}{'real':>9}{'simulated':>11}{'score':>8}{'sd':>8}{'ceiling':>9}{'sd':>8}"
        )

        widths = (9, 11, 8, 8, 9, 8)

        def cells(values: tuple[float | None, ...]) -> str:
            missing = [value is None or np.isnan(value) for value in values]
            texts = ["-" if no else f"{v:.3f}" for v, no in zip(values, missing, strict=True)]
            return "".join(f"{text:>{w}}" for text, w in zip(texts, widths, strict=True))

        frame = self.frame
        for kind, title in (("closeness", "1 is the same"), ("distance", "0 is the same")):
            lines.append(f"{kind} ({title})")
            part = frame.filter(frame["kind"] == kind)
            numbers = part.select("real", "simulated", "score", "score_sd", "ceiling", "ceiling_sd")
            lines += [
                f"  {name:46.46}" + cells(row)
                for name, row in zip(part["title"], numbers.iter_rows(), strict=True)
            ]
        return "\n".join(lines)


def compare(
    real: Transactions | Profile,
    simulated: Transactions | Profile | Sequence[Transactions | Profile],
    ceiling: Ceiling | None = None,
) -> RealismReport:
    """Score one or several simulated tables against a real one.

    Args:
        real: the real table, or its profile.
        simulated: a table of the same size, or several (one for each seed), or profiles.
        ceiling: how well real customers score against real ones, from
            :func:`~retail_gym.evaluation.realism.noise_ceiling`.

    Raises:
        ValueError: for no simulated table, or one of another size.
    """
    several = [simulated] if isinstance(simulated, Transactions | Profile) else list(simulated)
    if not several:
        raise ValueError("compare needs at least one simulated table")
    sides = [one if isinstance(one, Profile) else profile(one) for one in [real, *several]]
    runs = tuple(sides[1:])
    return RealismReport(sides[0], runs, tuple(score(sides[0], run) for run in runs), ceiling)
