"""The paper's scenario comparison at full scale: policies I-V beside Figure 8(a).

``python -m experiments.scenarios`` runs worlds 10-19 (the store was fitted on 0-4) with 20 luck
seeds each and writes ``scenarios.json``, ``scenarios.csv`` and ``figure_8.png``. It is the
command ``retail-gym scenarios`` with a folder to write to; interrupted, it goes on where it
stopped. ``--agent NAME`` shows a pretrained agent beside them (repeatable; needs no torch).
"""

from __future__ import annotations

import argparse

from agents import load_pretrained, pretrained_names
from retail_gym.cli import app, main


def run() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.scenarios",
        usage="%(prog)s [--agent NAME] [options of `retail-gym scenarios`, below]",
        add_help=False,
        allow_abbrev=False,
    )
    names = ", ".join(pretrained_names())
    text = f"show a pretrained agent beside policies I-V (repeatable): {names}"
    parser.add_argument("--agent", action="append", default=[], metavar="NAME", help=text)
    own, arguments = parser.parse_known_args()
    if "--help" in arguments:
        parser.print_help()
    agents = {name: load_pretrained(name) for name in own.agent}
    if not any(a == "--out" or a.startswith("--out=") for a in arguments):
        arguments += ["--out", "results/scenarios"]
    app(["scenarios", *arguments], obj=agents)


if __name__ == "__main__":
    main(run)
