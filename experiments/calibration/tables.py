"""Tables of the calibration study, and what they say of the goals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from experiments.calibration.elasticity import LITERATURE, Moved
from experiments.calibration.likeness import Pairs
from experiments.calibration.protocols import LIKE, Goal
from retail_gym.evaluation.realism import HEADLINE, JOINT, RealismReport
from retail_gym.evaluation.simulated_elasticities import SimulatedElasticities

__all__ = [
    "PARTS",
    "PRICES",
    "SCORES",
    "elasticity_text",
    "markdown",
    "near_ceiling",
    "pairs_text",
    "score_table",
    "verdicts",
]

#: Columns of the tables shown, and their titles.
SCORES: Final = {
    "title": "figure", "real": "real", "simulated": "simulated", "score": "score",
    "score_sd": "sd", "ceiling": "ceiling", "goal": "goal", "met": "met",
    "published": "published", "calibrated": "preset `calibrated`",
}  # fmt: skip
PRICES: Final = {
    "title": "figure", "real": "real", "simulated": "simulated", "simulated_sd": "sd",
    "distance": "distance", "ceiling": "of other real", "goal": "goal", "met": "met",
}  # fmt: skip
PARTS: Final = {"store": "store"} | {
    key: key for key in (*HEADLINE, "mean_of_eight", "price", "catsize", "lift_ks", "pen_ks",
                         "icc", "corr_rate_basket", "repeat", "ppc", "half_corr")
}  # fmt: skip

#: The scale-free goal: no further from 1 than this many times the ceiling, or this close to it.
TIMES: Final = 1.5
CLOSE: Final = 0.985


def score_table(
    report: RealismReport,
    goals: Mapping[str, Goal],
    published: Mapping[str, float] | None = None,
    baseline: RealismReport | None = None,
) -> pl.DataFrame:
    """Every score of a protocol beside its ceiling, its goal and what others reached.

    Args:
        report: the store against the real side, with a ceiling.
        goals: by score.
        published: scores of RetailSynth's own run.
        baseline: another store against the same side, for the column ``calibrated``.

    Returns:
        The columns of ``RealismReport.frame``, then goal, met, published and calibrated. The
        score of a joint diagnostic is the distance of the mean over runs from the real value.
    """
    frame = report.frame.with_columns(
        score=pl.when(pl.col("metric").is_in(list(JOINT)))
        .then((pl.col("simulated") - pl.col("real")).abs())
        .otherwise("score")
    )
    rows = []
    for row in frame.iter_rows(named=True):
        goal = goals.get(row["metric"])
        rows.append(
            row
            | {
                "goal": None if goal is None else str(goal),
                "met": None if goal is None else goal.met(row["score"]),
                "published": (published or {}).get(row["metric"]),
                "calibrated": None if baseline is None else baseline.mean(row["metric"]),
            }
        )
    types: dict[str, Any] = {"goal": pl.String, "met": pl.Boolean}
    types |= dict.fromkeys(("score_sd", "published", "calibrated", "ceiling_sd"), pl.Float64)
    return pl.DataFrame(rows, schema_overrides=types, infer_schema_length=None)


def near_ceiling(table: pl.DataFrame) -> dict[str, bool]:
    """For each of the eight: distance from 1 at most 1.5 times the ceiling's, or at most 0.015."""
    rows = {row["metric"]: row for row in table.iter_rows(named=True)}
    return {
        key: rows[key]["score"] >= CLOSE
        or 1.0 - rows[key]["score"] <= TIMES * (1.0 - rows[key]["ceiling"])
        for key in HEADLINE
    }


def verdicts(
    scores: Mapping[str, pl.DataFrame], prices: pl.DataFrame, pairs: Pairs | None
) -> list[str]:
    """Which goals are met, in words, one line a protocol or topic."""
    lines = []
    for name, table in scores.items():
        judged = table.filter(pl.col("met").is_not_null())
        missed = judged.filter(~pl.col("met"))
        texts = [f"{r['title']} {r['score']:.3f} ({r['goal']})" for r in missed.to_dicts()]
        lines.append(
            f"protocol {name}: {judged.height - missed.height} of {judged.height} goals met"
            + (f"; missed: {', '.join(texts)}" if texts else "")
        )
        near = near_ceiling(table)
        far = [key for key, reached in near.items() if not reached]
        lines.append(
            f"protocol {name}, free of scale (1 - score at most {TIMES:g} x that of real customers, "
            f"or score at least {CLOSE:g}): {len(near) - len(far)} of {len(near)}"
            + (f"; not {', '.join(far)}" if far else "")
        )
    judged = prices.filter(pl.col("met").is_not_null())
    missed = judged.filter(~pl.col("met"))
    texts = [
        f"{r['title']} {r['simulated']:.3f}, real {r['real']:.3f} (distance {r['distance']:.3f}, "
        f"goal {r['goal']})"
        for r in missed.to_dicts()
    ]
    lines.append(
        f"prices and discounts: {judged.height - missed.height} of {judged.height} goals met"
        + (f"; missed: {', '.join(texts)}" if texts else "")
    )
    if pairs is not None:
        lines.append(
            f"pairs bought together: Spearman {pairs.spearman:.3f}, goal {LIKE['spearman']}: "
            f"{'met' if pairs.met else 'missed'}"
        )
    return lines


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"
    return str(value)


def markdown(table: pl.DataFrame, columns: Mapping[str, str]) -> str:
    """A table in Markdown.

    Args:
        table: the rows.
        columns: column -> title; a column of nothing but nulls is left out.
    """
    shown = {key: title for key, title in columns.items() if table[key].null_count() < table.height}
    lines = ["| " + " | ".join(shown.values()) + " |", "|---" * len(shown) + "|"]
    for row in table.select(list(shown)).iter_rows():
        lines.append("| " + " | ".join(_cell(value) for value in row) + " |")
    return "\n".join(lines)


def pairs_text(pairs: Pairs | None, real: str) -> str:
    """The pairs in words."""
    if pairs is None:
        return "Lifts of category pairs by name: the store's categories are not the data's."
    spread = "" if pairs.spearman_sd is None else f" (standard deviation {pairs.spearman_sd:.3f})"
    return (
        f"Lifts of category pairs, by name, against {real}: Spearman {pairs.spearman:.3f}{spread} "
        f"over {pairs.pairs:,.0f} common pairs; all runs as one table {pairs.pooled:.3f}. Real "
        f"households: {pairs.ceiling:.3f} for as many others, {pairs.ceiling_all:.3f} for all "
        "others."
    )


def elasticity_text(moved: Moved, stores: Mapping[str, SimulatedElasticities]) -> str:
    """Elasticities in words, the store under study first."""
    texts = [f"`{name}` {found.describe()}" for name, found in stores.items()]
    return (
        f"{'; '.join(texts)}. Literature: {LITERATURE}. When all prices of a category move for "
        f"good, its units answer with {moved.category:.2f}; when all prices of the store do, units "
        f"answer with {moved.basket:.2f} and revenue with {moved.revenue:+.2f}."
    )
