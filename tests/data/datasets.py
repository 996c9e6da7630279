"""What the tests of datasets share."""

from __future__ import annotations

import polars as pl

from retail_gym.data.generate import generate
from retail_gym.data.lineage import RUNS
from retail_gym.data.recipe import Recipe, Truth
from retail_gym.policies import make_policy
from retail_gym.world.presets import load_config


def recipe_of(preset="tiny", policy="III", customers=None, truth=None, **settings):
    config = load_config(preset)
    if customers is not None:
        config = config.override(n_customers=customers)
    fields = {"weeks": 5, "shard_customers": 2, "seed": 3} | settings
    return Recipe(config, policy, truth=truth, **fields)


def make(folder, recipe, policy=None, **arguments):
    return generate(folder, recipe, policy or make_policy(recipe.policy), **arguments)


def table(folder, name):
    """A table of a dataset, its shards one after the other."""
    where = folder / f"{name}.parquet"
    if not where.is_file():
        where = folder / name / "**" / "*.parquet"
    return pl.read_parquet(where, hive_partitioning=False)


def tree(folder):
    """Every file and its bytes; the log, which says when, left out."""
    files = (f for f in folder.rglob("*") if f.is_file() and f.name != RUNS)
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in files}


TRUTH = Truth(None, (0.0, 0.3))
