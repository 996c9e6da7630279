"""Privacy: does a synthetic table give away single customers of those it was made from?

Records are rows and customers (``records``). Three kinds of measures:

* the distance to the closest record (``closest``), members against the holdout;
* copies: synthetic rows that equal a row which only one real customer has;
* attacks (``attacks``): membership inference, linkage and singling out.

Every test asks the same question: do findings point to members more often than to customers of
the holdout? Each has a false-alarm rate of :data:`ALPHA`, by a permutation of who is a member, a
rank test or Fisher's exact test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.data.table import Transactions
from retail_gym.evaluation.measures import Measure
from retail_gym.evaluation.privacy.attacks import (
    Overlaps,
    auc,
    overlaps,
    profile_scores,
    singled_out,
    true_positives,
)
from retail_gym.evaluation.privacy.closest import (
    Closest,
    closest_customers,
    closest_rows,
    scaled_profiles,
)
from retail_gym.evaluation.privacy.copies import copy_scores
from retail_gym.evaluation.privacy.ownership import ownership, proportion_interval
from retail_gym.evaluation.privacy.records import (
    TOP,
    Records,
    profiles,
)
from retail_gym.evaluation.sides import Labels, first_weeks, match_labels

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["ALPHA", "DISTANCE_MISLEADS", "Privacy", "privacy"]

#: False-alarm rate of each test.
ALPHA: Final = 0.002
DISTANCE_MISLEADS: Final = (
    "Distance to the closest record alone misleads: a table can be as far from the members as from "
    "the holdout and still hold copies. It says little where it passes; read the attacks."
)


@dataclass(frozen=True, eq=False)
class Privacy:
    """The privacy of a table."""

    measures: tuple[Measure, ...]
    labels: Labels
    n_members: int
    n_others: int


def _records(
    real: Transactions, synthetic: Transactions, holdout: Transactions, labels: str
) -> Records:
    import polars as pl

    weeks = min(table.n_weeks for table in (real, synthetic, holdout))
    matched = match_labels(real, synthetic, labels)
    real, synthetic, holdout = (first_weeks(t, weeks) for t in (real, synthetic, holdout))
    pool = Transactions(
        pl.concat([real.frame, holdout.frame]),
        np.concatenate([real.customers, holdout.customers]),
        weeks,
        f"{real.name} and {holdout.name}",
    )
    member_u = np.arange(pool.n_customers) < real.n_customers
    return Records(matched.apply(synthetic), matched.apply(pool), member_u, matched)


def _tested(p_value: float, note: str = "") -> dict[str, Any]:
    """What a measure says of its test."""
    said = f"p = {p_value:.2g}" + (f"; {note}" if note else "")
    return {"p_value": p_value, "passed": p_value >= ALPHA, "note": said}


def _closest_measures(
    level: str, found: Closest, member_u: NDArray[np.bool_], sides: tuple[Ints, Ints], seed: int
) -> list[Measure]:
    """Ratio of medians and share nearer to a member, of rows or customers."""
    n = found.owner.size
    nearer = int(member_u[found.owner].sum())
    low, high = proportion_interval(nearer, n)
    both = np.concatenate(sides)
    counts = np.bincount(found.owner, minlength=member_u.size)[both]
    test = ownership(counts, member_u[both], seed)
    return [
        Measure(
            "privacy", f"dcr_ratio_{level}", f"distance to the closest {level}: ratio of medians",
            found.ratio, 1.0, note="members / holdout",
        ),
        Measure(
            "privacy", f"dcr_share_{level}", f"{level} closer to a member than to the holdout",
            nearer / n, 0.5, low=low, high=high, **_tested(test.p_value),
        ),
    ]  # fmt: skip


def _copy_measures(records: Records, seed: int) -> list[Measure]:
    """Rows that repeat rows of members beyond chance."""
    found, member = copy_scores(records), records.member_u
    test = ownership(found.score_u, member, seed)
    # In units of a member all of whose rows were copied; then as a share of the synthetic rows.
    expected = float(found.per_copy_u[member].mean())
    rows = float(found.rows_u[member].sum()) / records.synthetic.frame.height
    scale = rows / expected if expected > 0.0 else float("nan")
    return [
        Measure(
            "privacy", "copied_rows", "synthetic rows copied from members (estimate)",
            test.excess * scale, 0.0, low=test.low * scale, high=test.high * scale,
            **_tested(test.p_value),
        )
    ]  # fmt: skip


def _customer_measures(records: Records, found: Overlaps, seed: int) -> list[Measure]:
    """Membership inference by purchases, linkage, singling out."""
    from scipy.stats import fisher_exact

    member = records.member_u
    linked, n = int(found.linked_s.sum()), found.linked_s.size
    control, known = int(found.linked_u.sum()), found.linked_u.size
    table = [[linked, n - linked], [control, known - control]]
    p_linked = float(fisher_exact(table, alternative="greater").pvalue)
    low, high = proportion_interval(linked, n, "exact")
    measures = [
        Measure(
            "privacy", "linked", "synthetic customers linked to a real one", linked / n, 0.0,
            control / known, low=low, high=high,
            **_tested(p_linked, "ceiling: real customers linked to another"),
        )
    ]  # fmt: skip
    counts, claims = singled_out(found, seed)
    test = ownership(counts, member, seed)
    hits = int(counts[member].sum())
    low, high = proportion_interval(hits, claims)
    expected = test.other_mean * member.sum() / max(1, claims)
    measures.append(
        Measure(
            "privacy", "singled_out", "claims that single out a member", hits / max(1, claims),
            None, float(expected), low=low, high=high,
            **_tested(test.p_value, "ceiling: expected from claims that hit the holdout"),
        )
    )  # fmt: skip
    return measures


def _membership_measures(name: str, title: str, scores: Floats, member: Bools) -> list[Measure]:
    one, other = scores[member], scores[~member]
    found = auc(one, other)
    hits = true_positives(one, other)
    low, high = proportion_interval(hits, one.size)
    return [
        Measure(
            "privacy", f"membership_{name}", f"membership inference by {title}: AUC",
            found.value, 0.5, low=found.low, high=found.high, **_tested(found.p_value),
        ),
        Measure(
            "privacy", f"membership_{name}_tpr",
            f"membership inference by {title}: members found", hits / one.size, 0.01,
            low=low, high=high, note="where 1 % of the others are taken for members",
        ),
    ]  # fmt: skip


def privacy(
    real: Transactions,
    synthetic: Transactions,
    holdout: Transactions,
    *,
    labels: str = "auto",
    seed: int = 0,
) -> Privacy:
    """Attack a synthetic table.

    Args:
        real: the members: purchases that the generator saw.
        synthetic: generated purchases.
        holdout: purchases of other real customers.
        labels: how labels are matched, see :func:`~retail_gym.evaluation.sides.match_labels`.
            Without shared products nothing can be linked by name: prices stand in for them.
        seed: of draws and permutations.

    Raises:
        ValueError: for fewer than two members or others.
    """
    records = _records(real, synthetic, holdout, labels)
    member = records.member_u
    sides = _equal_sides(member, seed)
    rows = closest_rows(records, sides, seed)
    top = _top_categories(records.pool)
    mine, _ = profiles(records.synthetic, top)
    theirs, codes = profiles(records.pool, top)
    mine, theirs = scaled_profiles(mine, theirs)
    customers = closest_customers(mine, theirs, codes, sides)
    found = overlaps(records)
    measures = [
        *_closest_measures("rows", rows, member, sides, seed),
        *_closest_measures("customers", customers, member, sides, seed),
        *_copy_measures(records, seed),
        *_customer_measures(records, found, seed),
        *_membership_measures("purchases", "purchases in common", found.score_u, member),
        *_membership_measures("profile", "profile", profile_scores(mine, theirs), member[codes]),
    ]
    return Privacy(tuple(measures), records.labels, int(member.sum()), int((~member).sum()))


def _equal_sides(member: Bools, seed: int) -> tuple[Ints, Ints]:
    """Equally many members and others, drawn by seed."""
    generator = np.random.default_rng([seed, 12])
    sides = [np.flatnonzero(member), np.flatnonzero(~member)]
    size = min(side.size for side in sides)
    one, other = (np.sort(generator.choice(side, size, replace=False)) for side in sides)
    return one, other


def _top_categories(pool: Transactions) -> list[object]:
    """The categories with the most rows."""
    counts = np.bincount(pool.lines.category)
    order = np.argsort(-counts, kind="stable")[:TOP]
    return [pool.lines.category_labels[j] for j in order]
