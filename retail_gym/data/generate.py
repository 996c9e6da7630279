"""``retail-gym dataset``: a star schema of simulated purchases, of any size, resumable.

::

    recipe -> plan (the policy's decisions) -> shard 0, 1, 2, ... (customers) -> manifest, data card

A shard is a function of recipe, plan and its number, so the files are the same for any number of
workers. While a dataset is being made, ``.incomplete/`` holds its recipe and, for each finished
shard, a note of its files and their checksums; a run that was stopped goes on from there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from retail_gym.config import atomic_write
from retail_gym.data.card import data_card
from retail_gym.data.executors import Executor, Pool
from retail_gym.data.lineage import (
    MANIFEST,
    RUNS,
    FileFacts,
    append_run,
    file_sha256,
    read_manifest,
    versions,
    write_json,
    write_manifest,
)
from retail_gym.data.plan import Plan, episode_key, record_plan
from retail_gym.data.recipe import Recipe
from retail_gym.data.shard import write_shard, write_store
from retail_gym.data.star import SCHEMA_VERSION, table_name
from retail_gym.policies.base import Policy

__all__ = ["CARD", "KIND", "PACKAGES", "PLAN", "generate", "make_part"]

KIND: Final = "dataset"
PLAN: Final = "plan.json"
CARD: Final = "README.md"
#: Packages on whose versions the bytes depend.
PACKAGES: Final = ("numba", "numpy", "polars", "pyarrow", "scipy")
_BUSY: Final = ".incomplete"
#: Number of the part that holds the tables of the store.
STORE: Final = -1


def make_part(task: tuple[dict[str, Any], str, int]) -> tuple[int, list[FileFacts]]:
    """Make the files of a shard, or with number -1 those of the store.

    Args:
        task: recipe as plain values, folder, number; what every executor can send.
    """
    plain, where, number = task
    recipe, folder = Recipe.from_plain(plain), Path(where)
    plan = Plan.load(folder / PLAN)
    if number == STORE:
        return number, write_store(recipe, plan, folder)
    return number, write_shard(recipe, plan, folder, number)


def generate(
    folder: str | os.PathLike[str],
    recipe: Recipe,
    policy: Policy,
    *,
    executor: Executor | None = None,
    parents: Sequence[dict[str, str]] = (),
    progress: bool = False,
) -> dict[str, Any]:
    """Make a dataset, or go on with one that was begun.

    Args:
        folder: of the dataset; new, empty, or with the same recipe begun or finished in it.
        recipe: what to make.
        policy: who decides the discounts.
        executor: who works on the shards; by default this process.
        parents: what else the dataset is made from, e.g. a trained agent: ``role``, ``name`` and
            ``sha256`` of each.
        progress: show a progress bar.

    Returns:
        The manifest.

    Raises:
        ValueError: if the folder holds something else.
        OSError: if the folder cannot be written to or is full; what is finished stays.
    """
    home, began = Path(folder), time.monotonic()
    # Through JSON, as workers and later readers see it.
    plain = json.loads(json.dumps(recipe.plain()))
    asked = {"recipe": plain, "recipe_hash": recipe.hash, "parents": list(parents)}
    if (home / MANIFEST).is_file():
        manifest = read_manifest(home, KIND)
        _same(home, manifest["recipe_hash"], asked, manifest["parents"])
        return _finish(home, manifest)
    _begin(home, asked)
    if not (home / PLAN).is_file():
        plan = record_plan(
            recipe.config,
            policy,
            world_seed=recipe.world_seed,
            seed=recipe.seed,
            weeks=recipe.weeks,
            segments=recipe.segments,
        )
        plan.save(home / PLAN)
    numbers = [STORE, *range(recipe.n_shards)]
    parts = {n: facts for n in numbers if (facts := _finished(home, n)) is not None}
    kept, todo = len(parts), [n for n in numbers if n not in parts]
    work = (executor or Pool(1)).run(make_part, [(plain, str(home), n) for n in todo])
    with _bar(recipe, parts, progress) as bar, contextlib.closing(work), _going_on_later():
        for number, facts in work:
            write_json(_note(home, number), [asdict(fact) for fact in facts])
            parts[number] = facts
            if number != STORE:
                bar.update(len(recipe.customers(number)) * recipe.weeks)
    files = [fact for n in numbers for fact in parts[n]]
    tables = [*recipe.tables(sharded=False), *recipe.tables(sharded=True)]
    rows = {
        table.name: sum(f.rows or 0 for f in files if table_name(f.path) == table.name)
        for table in tables
    }
    manifest = write_manifest(
        home,
        KIND,
        {
            "schema_version": SCHEMA_VERSION,
            "recipe": plain,
            "recipe_hash": recipe.hash,
            "episode_key": episode_key(recipe.seed),
            "shards": recipe.n_shards,
            "rows": rows,
            "versions": versions(*PACKAGES),
        },
        [*files, FileFacts.of(home, PLAN)],
        list(parents),
    )
    append_run(
        home,
        {
            "event": "generated",
            "manifest_sha256": manifest["manifest_sha256"],
            "executor": repr(executor or Pool(1)),
            "seconds": round(time.monotonic() - began, 3),
            "parts_made": len(todo),
            "parts_kept": kept,
        },
    )
    return _finish(home, manifest)


@contextlib.contextmanager
def _going_on_later() -> Iterator[None]:
    """Say with an error of the disk how to go on."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno, f"{reason} (what is finished is kept: the same command goes on)"
        ) from error


def _begin(home: Path, asked: dict[str, Any]) -> None:
    """Claim a folder for a recipe; remove what a killed run left half-written."""
    note = home / _BUSY / "recipe.json"
    if note.is_file():
        begun = json.loads(note.read_text(encoding="utf-8"))
        _same(home, begun["recipe_hash"], asked, begun["parents"])
        for stale in home.rglob(".*.tmp"):
            stale.unlink()
        return
    ours = {_BUSY, RUNS}
    if home.is_dir() and (strange := sorted({f.name for f in home.iterdir()} - ours)):
        raise ValueError(
            f"{home} holds {strange[0]!r} already: choose a new folder for the dataset"
        )
    write_json(note, asked)


def _same(home: Path, recipe_hash: str, asked: dict[str, Any], parents: Any) -> None:
    if (recipe_hash, parents) != (asked["recipe_hash"], asked["parents"]):
        raise ValueError(
            f"{home} holds a dataset of another recipe ({recipe_hash}, asked for "
            f"{asked['recipe_hash']}): choose another folder, or delete this one"
        )


def _note(home: Path, number: int) -> Path:
    return home / _BUSY / ("store.json" if number == STORE else f"{number:05d}.json")


def _finished(home: Path, number: int) -> list[FileFacts] | None:
    """The files of a part that a run before finished, if they are whole."""
    note = _note(home, number)
    if not note.is_file():
        return None
    facts = [FileFacts(**table) for table in json.loads(note.read_text(encoding="utf-8"))]
    whole = all(
        (home / fact.path).is_file() and file_sha256(home / fact.path) == fact.sha256
        for fact in facts
    )
    return facts if whole else None


def _bar(recipe: Recipe, parts: dict[int, Any], progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=recipe.config.n_customers * recipe.weeks,
        initial=sum(len(recipe.customers(n)) for n in parts if n != STORE) * recipe.weeks,
        desc="dataset",
        unit=" customer-weeks",
        unit_scale=True,
        disable=not progress,
    )


def _finish(home: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """What comes after the manifest, and may have been left undone: data card, cleaning up."""
    card = data_card(manifest).encode()
    if not (home / CARD).is_file() or (home / CARD).read_bytes() != card:
        with atomic_write(home / CARD) as stream:
            stream.write(card)
    shutil.rmtree(home / _BUSY, ignore_errors=True)
    for stale in home.rglob(".*.tmp"):
        stale.unlink()
    return manifest
