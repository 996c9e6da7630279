"""Is a dataset what its manifest says, and what its recipe makes? Every problem in words."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from retail_gym.data.card import data_card
from retail_gym.data.executors import Executor, Pool
from retail_gym.data.generate import CARD, KIND, PACKAGES, PLAN, STORE, make_part
from retail_gym.data.lineage import (
    MANIFEST,
    RUNS,
    check_runs,
    file_sha256,
    read_manifest,
    versions,
)
from retail_gym.data.recipe import Recipe
from retail_gym.data.star import SCHEMA_VERSION, TABLES, table_name

__all__ = ["regenerate", "verify"]


def verify(folder: Path) -> list[str]:
    """Check a dataset against its manifest: files, checksums, rows, schema, recipe, log.

    Args:
        folder: of the dataset.

    Returns:
        What is wrong, each with the file's name; nothing if all is well.

    Raises:
        FileNotFoundError: if there is no manifest.
    """
    problems: list[str] = []
    try:
        manifest = read_manifest(folder, KIND)
    except ValueError as error:
        problems.append(str(error))
        try:  # what it says is still worth comparing
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except ValueError:
            return problems
        if not isinstance(manifest, dict):
            return problems
    try:
        recipe = Recipe.from_plain(manifest["recipe"])
        problems += _check_files(folder, manifest, recipe)
        if recipe.hash != manifest["recipe_hash"]:
            problems.append(f"{MANIFEST}: the recipe does not have the hash {recipe.hash}")
        for table in manifest["files"]:
            problems += _check_file(folder, table, manifest["recipe_hash"])
        problems += _check_counts(manifest, recipe)
        if (folder / CARD).is_file() and (folder / CARD).read_text("utf-8") != data_card(manifest):
            problems.append(f"{CARD}: not the card of this manifest")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problems.append(f"{MANIFEST}: incomplete or out of range ({error!r:.120})")
    problems += check_runs(folder)
    stated = str(manifest.get("manifest_sha256"))
    if (folder / RUNS).is_file() and stated not in (folder / RUNS).read_text(encoding="utf-8"):
        problems.append(f"{RUNS}: no run made this {MANIFEST}")
    return problems


def _parts(recipe: Recipe) -> dict[str, int]:
    """The file of every table, and the number of the part that it belongs to."""
    paths = {table.path(): STORE for table in recipe.tables(sharded=False)}
    for shard in range(recipe.n_shards):
        paths |= {table.path(shard): shard for table in recipe.tables(sharded=True)}
    return paths


def _check_files(folder: Path, manifest: dict[str, Any], recipe: Recipe) -> list[str]:
    """Whether the folder holds what the manifest lists, and that what the recipe makes."""
    listed = {table["path"] for table in manifest["files"]}
    expected = {PLAN, *_parts(recipe)}
    present = {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()}
    problems = [f"{path}: missing" for path in sorted(listed - present)]
    problems += [
        f"{path}: not in the manifest" for path in sorted(present - listed - {MANIFEST, CARD, RUNS})
    ]
    problems += [f"{MANIFEST}: lists no {path}" for path in sorted(expected - listed)]
    problems += [f"{MANIFEST}: lists {path}, unknown" for path in sorted(listed - expected)]
    if CARD not in present:
        problems.append(f"{CARD}: missing")
    return problems


def _check_file(folder: Path, facts: dict[str, Any], dataset: str) -> list[str]:
    """One file against its line of the manifest."""
    file, path = folder / facts["path"], facts["path"]
    if not file.is_file():
        return []  # said already
    problems = []
    if file_sha256(file) != facts["sha256"]:
        problems.append(f"{path}: the checksum is not the manifest's; the file was changed")
    if facts["rows"] is None:
        return problems
    try:
        with pq.ParquetFile(file) as parquet:
            rows, schema = parquet.metadata.num_rows, parquet.schema_arrow
    except (OSError, pa.ArrowException) as error:
        return [*problems, f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})"]
    if rows != facts["rows"]:
        problems.append(f"{path}: {rows:,} rows, the manifest says {facts['rows']:,}")
    table = TABLES.get(table_name(path))
    if table is None:
        return [*problems, f"{path}: no table of a dataset"]
    if not schema.equals(table.schema(dataset), check_metadata=True):
        problems.append(
            f"{path}: the schema or its metadata is not that of table {table.name} version "
            f"{SCHEMA_VERSION} of dataset {dataset}"
        )
    return problems


def _check_counts(manifest: dict[str, Any], recipe: Recipe) -> list[str]:
    """The totals of the manifest, and those that follow from the recipe."""
    total = dict.fromkeys(manifest["rows"], 0)
    for table in manifest["files"]:
        if table["rows"] is not None:
            name = table_name(table["path"])
            total[name] = total.get(name, 0) + table["rows"]
    n_u, n_i = recipe.config.n_customers, recipe.config.n_products
    follows = {
        "visits": n_u * recipe.weeks,
        "customers": n_u,
        "products": n_i,
        "prices": n_i * recipe.weeks * recipe.segments,
    }
    problems = [
        f"{MANIFEST}: says {count:,} rows of {name}, its files have {total[name]:,}"
        for name, count in manifest["rows"].items()
        if total[name] != count
    ]
    return problems + [
        f"{MANIFEST}: {total.get(name, 0):,} rows of {name}, the recipe makes {count:,}"
        for name, count in follows.items()
        if total.get(name, 0) != count
    ]


def regenerate(
    folder: Path, shards: Iterable[int] | None = None, executor: Executor | None = None
) -> list[str]:
    """Make shards again and compare them with the files, bit for bit.

    Args:
        folder: of the dataset.
        shards: numbers; None: all of them, and the tables of the store.
        executor: who works on them; by default this process.

    Returns:
        What came out differently; nothing if all is the same.

    Raises:
        FileNotFoundError: if there is no manifest.
        ValueError: if the manifest was edited, or for a shard that there is not.
    """
    manifest = read_manifest(folder, KIND)
    recipe = Recipe.from_plain(manifest["recipe"])
    numbers = [STORE, *range(recipe.n_shards)] if shards is None else sorted(set(shards))
    unknown = [n for n in numbers if not STORE <= n < recipe.n_shards]
    if unknown:
        raise ValueError(
            f"there is no shard {unknown[0]}: they count from 0 to {recipe.n_shards - 1}"
        )
    listed = {table["path"]: table["sha256"] for table in manifest["files"]}
    here, then = versions(*PACKAGES), manifest["versions"]
    other = ", ".join(
        f"{name} {then[name]}, here {here.get(name)}"
        for name in then
        if then[name] != here.get(name)
    )
    problems = []
    with tempfile.TemporaryDirectory(prefix="retail_gym-") as scratch:
        again = Path(scratch)
        shutil.copyfile(folder / PLAN, again / PLAN)
        tasks = [(manifest["recipe"], scratch, n) for n in numbers]
        with contextlib.closing((executor or Pool(1)).run(make_part, tasks)) as work:
            for _, facts in work:
                for fact in facts:
                    if fact.sha256 != listed.get(fact.path):
                        same = _same_rows(folder / fact.path, again / fact.path)
                        problems.append(
                            f"{fact.path}: made again, "
                            + ("the rows are the same, the bytes are not" if same else "it differs")
                            + (f" (made with {other})" if other else "")
                        )
                    (again / fact.path).unlink()
    return sorted(problems)


def _same_rows(a: Path, b: Path) -> bool:
    try:
        return bool(pq.read_table(a).equals(pq.read_table(b)))
    except (OSError, pa.ArrowException):
        return False
