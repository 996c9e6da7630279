"""The tables and the words of the verdict, made of the measures alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from retail_gym.config import atomic_write

__all__ = ["KEYS", "PARTS", "association", "fill_page", "markdown", "order", "summary", "verdict"]

#: Parts in order, and the measures that the short table shows of each.
KEYS: Final = {
    "fidelity": (
        "wasserstein_sd_mean",
        "jsd_mean",
        "pearson_mean",
        "theils_u_mean",
        "correlation_ratio_mean",
        "sales_emd_product",
        "sales_emd_product_stock",
        "sales_jsd_product",
        "sales_jsd_product_stock",
        "realism_mean_of_eight",
        "realism_ncat",
        "realism_lift_ks",
        "realism_pen_ks",
        "realism_repeat",
        "realism_half_corr",
    ),
    "utility": (
        "classifier_accuracy",
        "classifier_roc_auc",
        "rules_category_found",
        "rules_category_lift_spearman",
        "rules_category_lift_distance",
        "rules_category_conviction_distance",
        "rules_product_found",
        "rules_product_lift_spearman",
        "rules_product_lift_distance",
        "rules_product_conviction_distance",
        "forecast_category",
        "forecast_product",
        "recommender",
    ),
    "privacy": (
        "dcr_share_rows",
        "dcr_share_customers",
        "copied_rows",
        "linked",
        "singled_out",
        "membership_purchases",
        "membership_profile",
    ),
}
PARTS: Final = tuple(KEYS)
#: Order of the candidates in tables and pictures.
_ORDER: Final = (
    "real", "complete_journey", "calibrated", "marginals", "copula", "vae", "gan", "dp-gan",
)  # fmt: skip
#: Product association: measures that need no labels in common.
DISTRIBUTION: Final = tuple(
    f"rules_{level}_{what}_distance"
    for level in ("category", "product")
    for what in ("lift", "conviction")
)


def order(rows: pl.DataFrame) -> list[str]:
    """Candidates that have rows, in the order of the tables."""
    found = set(rows["candidate"])
    return [name for name in _ORDER if name in found] + sorted(found - set(_ORDER))


def summary(rows: pl.DataFrame) -> pl.DataFrame:
    """Means over seeds, one row a candidate and measure; it passes if every seed does."""
    facts = ("title", "part", "kind", "ideal", "note")
    return rows.group_by("candidate", "key", maintain_order=True).agg(
        *(pl.col(name).first() for name in facts),
        *(pl.col(name).mean() for name in ("value", "ceiling", "ceiling_sd", "low", "high")),
        # One seed that fails fails; without a test there is nothing to pass.
        pl.col("passed").all(ignore_nulls=False),
        pl.col("seed").n_unique().alias("seeds"),
    )


def number(value: float | None) -> str:
    """Three digits, or a dash where it cannot be computed."""
    if value is None or np.isnan(value):
        return "-"
    return f"{value:.3f}" if abs(value) >= 0.0995 or value == 0 else f"{value:.2g}"


def passes(rows: pl.DataFrame, candidate: str, part: str) -> str:
    """Tests passed of those that could be made."""
    mine = rows.filter((pl.col("candidate") == candidate) & (pl.col("part") == part))
    tested = mine["passed"].drop_nulls()
    return f"{int(tested.sum())} of {tested.len()}" if tested.len() else "-"


def markdown(rows: pl.DataFrame, command: str) -> str:
    """The short table: ``*`` marks a measure that fails its test, ``r`` one by ranked labels."""
    found = summary(rows)
    names = order(found)
    lines = [f"| measure | ideal | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for part, keys in KEYS.items():
        counts = " | ".join(passes(found, name, part) for name in names)
        lines.append(f"| **{part}**: tests passed | | {counts} |")
        for key in keys:
            mine = {r["candidate"]: r for r in found.filter(pl.col("key") == key).to_dicts()}
            if not mine:
                continue
            first = next(iter(mine.values()))
            ideal = "more" if first["ideal"] is None else f"{first['ideal']:g}"
            if key == "singled_out":
                ideal = "less"
            cells = [_cell(mine[name]) if name in mine else "" for name in names]
            lines.append(f"| {first['title']} | {ideal} | {' | '.join(cells)} |")
    lines += ["", f"`*` fails the judge's test, `r` labels matched by rank of sales. `{command}`"]
    return "\n".join(lines)


def _cell(row: dict[str, object]) -> str:
    value = row["value"]
    assert value is None or isinstance(value, float)
    marks = ("r" if "rank" in str(row["note"]) else "") + ("*" if row["passed"] is False else "")
    return f"{number(value)} {marks}".strip()


def association(rows: pl.DataFrame) -> pl.DataFrame:
    """Simulator against generators on product association.

    Returns:
        One row a measure, simulator and generator: key, title, simulator, generator, ours,
        theirs, real, better (whether the simulator is).
    """
    found = summary(rows).filter(pl.col("key").is_in(DISTRIBUTION))
    value = {(r["candidate"], r["key"]): r["value"] for r in found.iter_rows(named=True)}
    titles = dict(found.select("key", "title").unique().iter_rows())
    kind = dict(found.select("candidate", "kind").unique().iter_rows())
    lines = [
        {
            "key": key,
            "title": titles[key],
            "simulator": ours,
            "generator": theirs,
            "ours": value[ours, key],
            "theirs": value[theirs, key],
            "real": value.get(("real", key)),
            # No rules at all is no agreement.
            "better": _worse(value[theirs, key], value[ours, key]),
        }
        for key in DISTRIBUTION
        for ours in order(found)
        for theirs in order(found)
        if kind[ours] == "simulator" and kind[theirs] == "generator" and (ours, key) in value
        and (theirs, key) in value
    ]  # fmt: skip
    schema = dict.fromkeys(("key", "title", "simulator", "generator"), pl.String)
    numbers = dict.fromkeys(("ours", "theirs", "real"), pl.Float64)
    return pl.DataFrame(lines, schema=schema | numbers | {"better": pl.Boolean})


def _worse(one: float, other: float) -> bool:
    """Whether a distance is larger than another; one that cannot be computed is the largest."""
    large = [np.inf if x is None or np.isnan(x) else x for x in (one, other)]
    return bool(large[0] > large[1])


def verdict(rows: pl.DataFrame) -> list[str]:
    """Sentences on product association, with the numbers."""
    pairs, said = association(rows), []
    for (ours, title), part in pairs.group_by(["simulator", "title"], maintain_order=True):
        better = part.filter("better")["generator"].to_list()
        worse = part.filter(~pl.col("better"))
        value = f"{ours}, {title}: {number(part['ours'][0])} (real households {number(part['real'][0])})"
        text = f"beats {', '.join(better)}" if better else "beats no generator"
        if worse.height:
            names = [
                f"{name} ({number(theirs)})"
                for name, theirs in worse.select("generator", "theirs").iter_rows()
            ]
            text += f"; does not beat {', '.join(names)}"
        said.append(f"{value} {text}.")
    return said


def fill_page(path: Path, name: str, bodies: Iterable[str]) -> bool:
    """Put text between a page's markers ``<!-- name -->`` and ``<!-- /name -->``.

    Returns:
        Whether the page has such markers.
    """
    text = path.read_text(encoding="utf-8")
    marks = re.compile(
        rf"(<!-- {re.escape(name)} -->\n).*?(<!-- /{re.escape(name)} -->)", re.DOTALL
    )
    if not marks.search(text):
        return False
    body = "\n\n".join(bodies)
    new = marks.sub(lambda found: f"{found[1]}\n{body}\n\n{found[2]}", text)
    if new != text:
        with atomic_write(path) as stream:
            stream.write(new.encode())
    return True
