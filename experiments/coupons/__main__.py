"""AgentSim's coupon benchmark replicated, corrected, and bounded by rules that know the model.

``python -m experiments.coupons`` writes two tables side by side (markdown), all rows (parquet)
and a picture. Every store is a part file: what an interrupted run left is not computed again.
``--redraw`` writes tables and picture from the rows that come along.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import polars as pl
import torch

from experiments.coupons import tables
from experiments.coupons.correct import SETTINGS, score, train_all
from experiments.coupons.replicate import STORES, Replication
from retail_gym import make_world
from retail_gym.config import atomic_write, check_int, stable_hash

MEASURED: Final = Path(__file__).parent / "measured" / "rows.parquet"


@dataclass(frozen=True)
class Sizes:
    """How much is run; AgentSim's own numbers in brackets.

    Raises:
        ValueError: for a number below 1, or more stores to score than to train on.
    """

    trained: int = 120  # stores to train on [1,000]
    stores: int = 20  # of them to score in [100]
    runs: int = 3  # trained policies of an agent [10]
    fresh_stores: int = 12
    fresh_runs: int = 1
    logged: int = 150_000  # customer-weeks of the bandits' log
    deep_steps: int = 200_000  # customer-weeks of PPO and DQN

    def __post_init__(self) -> None:
        for item in fields(self):
            check_int(item.name.replace("_", "-"), getattr(self, item.name), 1)
        if self.stores > self.trained:
            raise ValueError(
                f"--stores {self.stores} are more than --trained {self.trained}: the replicated "
                "protocol scores stores that it trained on"
            )


QUICK = Sizes(trained=8, stores=4, runs=1, fresh_stores=2, logged=14_000, deep_steps=30_000)


def parts(
    name: str,
    stores: int,
    folder: Path,
    prepare: Callable[[], Callable[[int], list[dict[str, Any]]]],
) -> pl.DataFrame:
    """Rows of some stores, each from its part file or computed and written there.

    Args:
        name: of the part files.
        stores: how many.
        folder: where the files are.
        prepare: trains what is needed and returns the scoring of one store; called only if a
            file is missing.
    """
    files = [folder / f"{name}_{store:03d}.parquet" for store in range(stores)]
    score_store = None
    for store, file in enumerate(files):
        if file.exists():
            continue
        if score_store is None:
            began = time.monotonic()
            score_store = prepare()
            print(f"{name}: trained in {time.monotonic() - began:.0f} s", flush=True)
        rows = pl.DataFrame(score_store(store))
        with atomic_write(file) as stream:
            rows.write_parquet(stream)
    return pl.concat([pl.read_parquet(file) for file in files])


def replication(kind: str, sizes: Sizes) -> Callable[[int], list[dict[str, Any]]]:
    """Train on the stores of a kind; the scoring of one of them."""
    study = Replication(kind, sizes.trained, sizes.stores)
    trained = list(study.train(sizes.runs))
    for agent in ("PPO", "NeuralBoltzmann", "DQN"):
        epochs = [item.epochs for item in trained if item.agent == agent]
        print(f"{kind}: {agent} stopped after {epochs} epochs", flush=True)
    return lambda store: study.score(store, trained)


def collect(sizes: Sizes, out: Path) -> Iterator[tuple[str, pl.DataFrame]]:
    """All rows, part by part; a folder of part files holds what equal sizes gave."""
    first = stable_hash([sizes.trained, sizes.runs])[:8]
    for kind in STORES:
        yield (
            kind,
            parts(
                kind,
                sizes.stores,
                out / f"replicated_{first}",
                lambda kind=kind: replication(kind, sizes),
            ),
        )
    folder = (
        out / f"corrected_{stable_hash([sizes.fresh_runs, sizes.logged, sizes.deep_steps])[:8]}"
    )
    for setting in SETTINGS:

        def prepare(setting: str = setting) -> Callable[[int], list[dict[str, Any]]]:
            trained = train_all(
                setting, sizes.fresh_runs, sizes.logged, sizes.deep_steps, folder / "deep"
            )
            return lambda store: score(setting, store, trained)

        yield setting, parts(setting, sizes.fresh_stores, folder, prepare)


def report(rows: dict[str, pl.DataFrame]) -> str:
    """The two tables, as markdown."""
    text = []
    for kind, title in (
        ("agentsim", "Replicated: AgentSim's protocol on stores drawn with its shared keys"),
        ("independent", "The same protocol on independently drawn stores"),
    ):
        text += [f"## {title}", "", tables.replication_table(rows[kind]), ""]
        rule = tables.ratio(rows[kind], "segment_rule", "revenue")
        text += [f"Privileged segment rule (50 % / 0 %): revenue {rule}.", ""]
        text += ["Mean coupon of each training run: " + tables.coupons_by_run(rows[kind]), ""]
        sent = rows[kind].filter(pl.col("agent") == "LinUCB").mean()
        halves = [100 * sent[f"coupon_{half}"][0] for half in ("sensitive", "insensitive")]
        text += [
            f"LinUCB sends {halves[0]:.1f} % to the sensitive half and {halves[1]:.1f} % to the "
            "other (published: 29.1 %, 5.7 %).",
            "",
        ]
    for setting in SETTINGS:
        text += [f"## Corrected: fresh stores, {setting}", ""]
        text += [tables.corrected_table(rows[setting], tables.shown_agents(rows[setting])), ""]
        pairs = (("PPO", "LinUCB"), ("PPO", "NeuralBoltzmann"), ("LinUCB", "oracle"),
                 ("PPO", "far_sighted_oracle"))  # fmt: skip
        said = (
            f"{one} / {two} {tables.ratio(rows[setting], one, 'revenue', two)}"
            for one, two in pairs
        )
        text += ["Revenue, store by store: " + "; ".join(said) + ".", ""]
        stores = rows[setting]["store"].unique()
        scales = {store: make_world(setting, store).reward_scale for store in stores}
        text += [tables.headline(rows[setting], scales), ""]
    return "\n".join(text)


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="minutes: few stores, short training")
    parser.add_argument("--redraw", action="store_true", help="from the rows that come along")
    parser.add_argument("--out", type=Path, default=Path("results/coupons"))
    for item in fields(Sizes):
        parser.add_argument(
            f"--{item.name.replace('_', '-')}", type=int, help="instead of the default"
        )
    args = parser.parse_args()
    torch.set_num_threads(1)  # small networks: more threads only wait for each other
    chosen = {item.name: getattr(args, item.name) for item in fields(Sizes)}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    try:
        sizes = replace(QUICK if args.quick else Sizes(), **chosen)
    except ValueError as error:
        parser.error(str(error))
    if args.redraw:
        kept = pl.read_parquet(MEASURED)
        rows = {str(name): part for (name,), part in kept.group_by("part", maintain_order=True)}
    else:
        rows = dict(collect(sizes, args.out))
    text = report(rows)
    print(text)
    with atomic_write(args.out / "tables.md") as stream:
        stream.write(text.encode())
    columns = [frame.with_columns(part=pl.lit(name)) for name, frame in rows.items()]
    with atomic_write(args.out / "rows.parquet") as stream:
        pl.concat(columns, how="diagonal").write_parquet(stream)
    print("picture:", tables.draw(rows, args.out / "coupons.png"))


if __name__ == "__main__":
    main()
