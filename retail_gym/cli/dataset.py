"""``retail-gym dataset``: simulated purchases as a star schema in Parquet."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from retail_gym.cli.output import AsJson, show_table

__all__ = ["dataset"]


def dataset(
    folder: Annotated[
        Path, typer.Argument(help="Folder to write; a run that was stopped goes on.")
    ],
    preset: Annotated[str, typer.Argument(help="Preset or .toml file.")] = "scenario",
    policy: Annotated[
        str, typer.Option(help="Member of the zoo, DEPTH,FREQUENCY, or a trained agent.")
    ] = "III",
    weeks: Annotated[int, typer.Option(min=1)] = 53,
    seed: Annotated[int, typer.Option(min=0, help="Luck.")] = 0,
    world_seed: Annotated[int, typer.Option(min=0, help="Store.")] = 0,
    customers: Annotated[int | None, typer.Option(min=1, help="Number of customers.")] = None,
    segments: Annotated[int, typer.Option(min=1, help="Customers priced apart.")] = 1,
    shard_customers: Annotated[
        int, typer.Option(min=0, help="Customers of a shard; 0: 2,500, or a tenth if more.")
    ] = 0,
    truth: Annotated[
        bool, typer.Option("--truth", help="Add probabilities, elasticities, dose and response.")
    ] = False,
    truth_customers: Annotated[
        int, typer.Option(min=0, help="Customers with --truth, evenly spaced; 0: everybody.")
    ] = 100,
    truth_levels: Annotated[
        str, typer.Option(help="Discounts at which demand is expected.")
    ] = "0,0.1,0.2,0.3,0.4,0.5",
    executor: Annotated[str, typer.Option(help="pool (this machine) or ray.")] = "pool",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one per CPU.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a dataset: purchases, visits, customers, products, prices. Same bytes for any workers."""
    import json

    from retail_gym.data.executors import make_executor
    from retail_gym.data.generate import generate
    from retail_gym.data.lineage import file_sha256
    from retail_gym.data.recipe import Recipe, Truth
    from retail_gym.world.presets import load_config

    levels = tuple(_number(text) for text in truth_levels.split(","))
    overrides = {} if customers is None else {"n_customers": customers}
    decides, parents = _policy(policy)
    if preset.endswith(".toml"):
        parents.append({"role": "store", "name": Path(preset).name, "sha256": file_sha256(preset)})
    recipe = Recipe(
        load_config(preset).override(**overrides),
        policy,
        world_seed=world_seed,
        seed=seed,
        weeks=weeks,
        segments=segments,
        shard_customers=shard_customers,
        truth=Truth(truth_customers or None, levels) if truth else None,
    )
    manifest = generate(
        folder,
        recipe,
        decides,
        executor=make_executor(executor, workers),
        parents=parents,
        progress=sys.stderr.isatty(),
    )
    if as_json:
        typer.echo(json.dumps({k: manifest[k] for k in ("rows", "recipe_hash", "manifest_sha256")}))
    else:
        show_table([[name, f"{n:,}"] for name, n in manifest["rows"].items()], ["table", "rows"])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"--truth-levels must be numbers with commas, got {text!r}") from None


def _policy(name: str) -> tuple[Any, list[dict[str, str]]]:
    """A policy by name, and the files that it comes from."""
    from importlib import import_module
    from importlib.util import find_spec

    from retail_gym.data.lineage import file_sha256
    from retail_gym.policies import make_policy

    try:
        return make_policy(name), []
    except ValueError:
        # Trained agents live in the checkout, beside this package, which does not know them.
        if find_spec("agents") is None or not (Path(name).exists() or _pretrained(name)):
            raise
    agents = import_module("agents.loading")
    folder = Path(name) if Path(name).exists() else agents.PRETRAINED / name
    file = folder / "policy.npz" if folder.is_dir() else folder
    return agents.load(folder), [
        {"role": "policy", "name": folder.name, "sha256": file_sha256(file)}
    ]


def _pretrained(name: str) -> bool:
    from importlib import import_module

    return name in import_module("agents.loading").pretrained_names()
