"""The paper's scenario comparison at full scale: policies I-V beside Figure 8(a).

``python -m experiments.scenarios`` runs worlds 10-19 (the store was fitted on 0-4) with 20 luck
seeds each and writes ``scenarios.json``, ``scenarios.csv`` and ``figure_8.png``. It is the
command ``retail-gym scenarios`` with a folder to write to; interrupted, it goes on where it
stopped.
"""

from __future__ import annotations

import sys

from retail_gym.cli import app, main


def run() -> None:
    """Run the study from the command line."""
    arguments = sys.argv[1:]
    if not any(a == "--out" or a.startswith("--out=") for a in arguments):
        arguments += ["--out", "results/scenarios"]
    app(["scenarios", *arguments])


if __name__ == "__main__":
    main(run)
