"""The paper's scenario comparison at full scale: policies I-V beside Figure 8(a).

``python -m experiments.scenarios`` runs worlds 10-19 (the store was fitted on 0-4) with 20 luck
seeds each and writes ``scenarios.json``, ``scenarios.csv`` and ``figure_8.png``. It is the
command ``retail-gym scenarios`` with a folder to write to; interrupted, it goes on where it
stopped. ``--agent NAME`` shows a pretrained agent beside them (repeatable; needs no torch),
``--static`` the best fixed policies of a coarse grid. ``--preset complete_journey`` asks whether the
paper's findings survive in a store of real households: nothing is published about it, so the
findings stand alone, and beside I-V no discount and the store's own promotions.
"""

from __future__ import annotations

import argparse

from agents import load_pretrained, pretrained_names
from retail_gym.cli import app, main
from retail_gym.evaluation import best_static
from retail_gym.evaluation.search import grid
from retail_gym.policies import HighLow, Policy, no_discount

#: Luck on which fixed policies are chosen; the comparison's seeds begin at 0.
SELECTION = range(1_000_000, 1_000_002)
GRID = grid(0.1, 0.2)


def static_policies(preset: str, world: int, customers: int | None) -> dict[str, Policy]:
    """The best fixed policies of the coarse grid for revenue and for margin, in one world.

    Args:
        preset: the store.
        world: seed of the world in which they are chosen.
        customers: number, None for the preset's.

    Returns:
        Name -> policy. No discount, where that is best, is named and left out: the comparison
        has it for stores of real households, and policies I and II are close to it elsewhere.
    """
    depths, frequencies = GRID
    more = {} if customers is None else {"n_customers": customers}
    table = best_static(
        preset, depths=depths, frequencies=frequencies, seeds=SELECTION, world_seed=world, **more
    ).table
    found: dict[str, Policy] = {}
    for metric in ("revenue", "margin"):
        row = table.row(int(table[metric].arg_max() or 0), named=True)
        policy = HighLow(row["depth"], row["frequency"])
        print(f"best fixed policy for {metric} in world {world}: {policy}")
        if policy != no_discount():
            found[f"best-{metric}"] = policy
    return found


def run() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.scenarios",
        usage="%(prog)s [--agent NAME] [--static] [options of `retail-gym scenarios`, below]",
        add_help=False,
        allow_abbrev=False,
    )
    names = ", ".join(pretrained_names())
    text = f"show a pretrained agent beside policies I-V (repeatable): {names}"
    parser.add_argument("--agent", action="append", default=[], metavar="NAME", help=text)
    text = "show the best fixed policies of a coarse grid, chosen on other luck"
    parser.add_argument("--static", action="store_true", help=text)
    own, arguments = parser.parse_known_args()
    if "--help" in arguments:
        parser.print_help()
    agents: dict[str, Policy] = {name: load_pretrained(name) for name in own.agent}
    if own.static:
        store = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        store.add_argument("--preset", default="scenario")
        store.add_argument("--customers", type=int)
        store.add_argument("--first-world", type=int, default=10)
        of_store, _ = store.parse_known_args(arguments)
        agents |= static_policies(of_store.preset, of_store.first_world, of_store.customers)
    if not any(a == "--out" or a.startswith("--out=") for a in arguments):
        arguments += ["--out", "results/scenarios"]
    app(["scenarios", *arguments], obj=agents)


if __name__ == "__main__":
    main(run)
