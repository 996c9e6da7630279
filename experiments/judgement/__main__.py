"""The verdict: other real households, our simulator and baseline generators on every measure.

``python -m experiments.judgement`` fits, samples and judges what is not done yet, below
``results/judgement``; killed, it goes on where it stopped. Raw results go to
``experiments/data/judgement.parquet`` and ``judgement_curves.parquet``; the table in
``experiments/README.md`` and the pictures in ``experiments/figures`` are made of these files
alone (``--redraw``), as is the report of ``--html FILE``. ``--only NAME`` (repeatable) does some
candidates and leaves the others' results. ``--quick`` takes minutes and keeps everything below
``results/judgement-quick``. Needs the extras real-data, eval and generators.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from experiments.judgement.candidates import Sizes, candidates_of
from experiments.judgement.cells import MEASURES, cells_of, collect, merge, read, run, write
from experiments.judgement.curves import CURVES
from experiments.judgement.pictures import draw
from experiments.judgement.report import write_report
from experiments.judgement.tables import fill_page, markdown, verdict
from retail_gym.config import check_int

ROOT = Path(__file__).parents[2]
COMMAND = "python -m experiments.judgement"
QUICK_SIZES = Sizes(train=300, holdout=120, evaluation=120)
FILES = ("judgement.parquet", "judgement_curves.parquet")


def redraw(data: Path, figures: Path, page: Path, command: str, html: Path | None) -> None:
    """Table, pictures and report from the raw results.

    Raises:
        FileNotFoundError: if there are none.
    """
    rows, curves = read(data / FILES[0], MEASURES), read(data / FILES[1], CURVES)
    if rows.is_empty():
        raise FileNotFoundError(2, f"no results in {data}: run the study first")
    body = [markdown(rows, command), *(f"* {sentence}" for sentence in verdict(rows))]
    if page.exists() and fill_page(page, "judgement", [body[0], "\n".join(body[1:])]):
        print("filled:", page)
    else:
        print("\n".join(body))
    pictures = draw(rows, curves, figures)
    for picture in pictures.values():
        print("picture:", picture)
    if html is not None:
        print("report:", write_report(rows, pictures, html))


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", default=[], help="one candidate; repeatable")
    parser.add_argument("--seeds", type=int, default=1, help="tables of each candidate")
    parser.add_argument("--quick", action="store_true", help="few households, minutes")
    parser.add_argument("--redraw", action="store_true", help="from the raw results alone")
    parser.add_argument("--html", type=Path, help="also write a report in one file")
    parser.add_argument("--out", type=Path, help="where finished pieces are kept")
    parser.add_argument("--data", type=Path, help="raw results (default: experiments/data)")
    args = parser.parse_args()
    seeds = check_int("seeds", args.seeds, 1)
    out = args.out or Path("results") / ("judgement-quick" if args.quick else "judgement")
    data = args.data or (out if args.quick else ROOT / "experiments/data")
    candidates, wrong = candidates_of(args.quick, args.only), 0
    if not args.redraw:
        cells = cells_of(candidates, QUICK_SIZES if args.quick else Sizes(), seeds)
        todo = sum(not cell.file(out).exists() for cell in cells)
        print(f"{todo} of {len(cells)} pieces to do", flush=True)
        for cell, said in run(cells, out):
            failed = isinstance(said, str)
            wrong += failed
            took = said if failed else f"{said:.0f} s"
            print(f"{time.strftime('%X')} {cell}: {took}", flush=True)
        for name, schema, new in zip(FILES, (MEASURES, CURVES), collect(cells, out), strict=True):
            if new is not None:
                write(merge(read(data / name, schema), new), data / name)
    figures = out if args.quick else ROOT / "experiments/figures"
    page = out / "README.md" if args.quick else ROOT / "experiments/README.md"
    redraw(data, figures, page, COMMAND + " --quick" * args.quick, args.html)
    if wrong:
        raise SystemExit(f"{wrong} pieces failed; run again to repeat them")


if __name__ == "__main__":
    main()
