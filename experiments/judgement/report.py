"""One HTML file with everything: words, pictures, tables; nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

import polars as pl

from experiments.judgement.tables import PARTS, number, order, passes, summary, verdict
from retail_gym.config import atomic_write

__all__ = ["write_report"]

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem;
       color: #222; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.2rem; }
figure { margin: 1.5rem 0; } img { max-width: 100%; height: auto; }
figcaption { color: #555; font-size: 0.9em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.82em; }
th, td { padding: 0.2rem 0.6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 16rem; }
th { position: sticky; top: 0; background: #fff; }
.fails { background: #fbe3d6; } .passes { background: #e6f1e4; }
.ranked::after { content: " r"; color: #888; }
"""

_WORDS: Final = {
    "real": "other real households, which nothing was fitted on: the best that can be asked",
    "complete_journey": "our simulator, fitted to the train households",
    "calibrated": "our simulator with the paper's calibration; it has labels of its own",
    "marginals": "every column drawn on its own",
    "copula": "a Gaussian copula of categories and customers' features",
    "vae": "a conditional variational autoencoder of baskets",
    "gan": "a conditional Wasserstein GAN of baskets with gradient penalty and stock embeddings",
    "dp-gan": "the same trained with differential privacy of households",
}
_PARTS: Final = {
    "fidelity": "Does the table look like the real one? Distances are 0 and closeness is 1 for a "
    "perfect table; the ceiling is what real households reach against other real ones.",
    "utility": "Is it as good to learn from? Models are trained on the table and tested on real "
    "households that it has not seen; the ceiling is the same model trained on real households.",
    "privacy": "Does it give away single households of those it was made from? A test fails if what "
    "is found points to them more often than to households it has not seen.",
}


def _picture(caption: str, file: Path) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    text = escape(caption)
    return (
        f'<figure><img alt="{text}" src="data:image/png;base64,{data}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _table(found: pl.DataFrame, part: str, names: list[str]) -> str:
    mine = found.filter(pl.col("part") == part)
    rows = {(r["candidate"], r["key"]): r for r in mine.iter_rows(named=True)}
    head = "".join(f"<th>{escape(name)}</th>" for name in ("measure", "ideal", *names))
    body = []
    for key in mine["key"].unique(maintain_order=True):
        first = next(rows[name, key] for name in names if (name, key) in rows)
        ideal = "" if first["ideal"] is None else f"{first['ideal']:g}"
        cells = [_cell(rows.get((name, key))) for name in names]
        body.append(f"<tr><td>{escape(first['title'])}</td><td>{ideal}</td>{''.join(cells)}</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(row: dict[str, object] | None) -> str:
    if row is None:
        return "<td></td>"
    value, ceiling, note = row["value"], row["ceiling"], str(row["note"])
    kind = {True: "passes", False: "fails"}.get(row["passed"], "")  # type: ignore[call-overload]
    ranked = " ranked" if "rank" in note else ""
    limit = f"ceiling {number(ceiling)}" if isinstance(ceiling, float) else ""
    hint = escape("; ".join(text for text in (limit, note) if text), quote=True)
    assert value is None or isinstance(value, float)
    return f'<td class="{kind}{ranked}" title="{hint}">{number(value)}</td>'


def write_report(rows: pl.DataFrame, pictures: Mapping[str, Path], path: Path) -> Path:
    """Write the report.

    Args:
        rows: the measures.
        pictures: caption -> file of a PNG picture.
        path: of the report.
    """
    found = summary(rows)
    names = order(found)
    who = "".join(
        f"<li><b>{escape(name)}</b>: {escape(_WORDS.get(name, ''))}</li>" for name in names
    )
    counts = "".join(
        f"<tr><td>{part}</td>"
        + "".join(f"<td>{passes(found, name, part)}</td>" for name in names)
        + "</tr>"
        for part in PARTS
    )
    head = "".join(f"<th>{escape(name)}</th>" for name in ("tests passed", *names))
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in verdict(rows))
    parts = "".join(
        f"<h2>{part.capitalize()}</h2><p>{escape(words)}</p>{_table(found, part, names)}"
        for part, words in _PARTS.items()
    )
    html = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>The verdict</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{_STYLE}</style></head><body>
<h1>Synthetic purchases, judged</h1>
<p>Every candidate makes a table of purchases of as many households as the evaluation set has.
It is judged against the train households of Complete Journey that generators and simulator were
fitted on, with a holdout of further households that nothing was fitted on.</p>
<ul>{who}</ul>
<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{counts}</tbody></table></div>
<h2>Product association</h2>
<p>Distances of the distributions of lift and conviction over the rules of a table, which need no
labels in common; 0 is the same.</p>
<ul>{said}</ul>
{"".join(_picture(caption, file) for caption, file in pictures.items())}
{parts}
<p>A coloured cell passes (green) or fails (red) the judge's test; "r" marks a measure whose labels
were matched by rank of sales, as the candidate has labels of its own: it compares shapes, not
which product is which. The ceiling and notes show where the pointer rests.</p>
</body></html>
"""
    with atomic_write(path) as stream:
        stream.write(html.encode())
    return path
