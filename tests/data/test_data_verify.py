"""Planted damage to a dataset is found and named."""

from __future__ import annotations

import json
import shutil

import pyarrow.parquet as pq
import pytest
from datasets import TRUTH, make, recipe_of

from retail_gym.data import generate
from retail_gym.data.lineage import MANIFEST, RUNS, FileFacts, file_sha256, write_manifest
from retail_gym.data.star import TABLES
from retail_gym.data.verify import regenerate, verify

LINES = TABLES["transactions"].path(1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "dataset"
    make(folder, recipe_of(truth=TRUTH))
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "dataset")


def rewrite(folder, change, *, rows=False):
    """Change a manifest's content and give it the checksum of an untouched one."""
    manifest = json.loads((folder / MANIFEST).read_text())
    change(manifest)
    files = [FileFacts(**table) for table in manifest.pop("files")]
    del manifest["manifest_sha256"]
    write_manifest(folder, manifest.pop("kind"), manifest, files, manifest.pop("parents"))


def test_an_untouched_dataset_passes(made):
    assert verify(made) == []
    assert regenerate(made) == []


def test_a_flipped_byte_is_found_anywhere(folder):
    for path in (LINES, "prices.parquet", "plan.json", TABLES["truth_responses"].path(0)):
        file = folder / path
        content = file.read_bytes()
        for place in (4, len(content) // 2, len(content) - 1):
            file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            problems = verify(folder)
            assert problems
            assert all(problem.startswith(path) for problem in problems)
        file.write_bytes(content)
    assert verify(folder) == []


def test_a_deleted_row_is_counted(folder):
    lines = pq.read_table(folder / LINES)
    pq.write_table(lines.slice(0, lines.num_rows - 1), folder / LINES, compression="zstd")
    problems = verify(folder)
    assert any(f"{LINES}: the checksum" in p for p in problems)
    assert any(
        f"{LINES}: {lines.num_rows - 1:,} rows, the manifest says {lines.num_rows:,}" in p
        for p in problems
    )


def test_missing_and_foreign_files_are_named(folder):
    (folder / LINES).unlink()
    (folder / "visits" / "shard=00009").mkdir()
    (folder / "visits" / "shard=00009" / "part.parquet").write_bytes(b"x")
    problems = verify(folder)
    assert f"{LINES}: missing" in problems
    assert "visits/shard=00009/part.parquet: not in the manifest" in problems


def test_an_edited_manifest_is_found(folder):
    file = folder / MANIFEST
    edited = json.loads(file.read_text())
    edited["rows"]["transactions"] += 1
    file.write_text(json.dumps(edited))
    problems = verify(folder)
    assert "was edited" in problems[0]
    assert any("rows of transactions, its files have" in p for p in problems)
    with pytest.raises(ValueError, match="was edited"):
        regenerate(folder)
    file.write_text("[]")
    assert "damaged" in verify(folder)[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["recipe"].update(seed=9), "the recipe does not have the hash"),
        (lambda m: m["recipe"]["config"].update(c=-1.0), "the recipe does not have the hash"),
        (lambda m: m["recipe"].pop("weeks"), "incomplete"),
        (lambda m: m["files"].pop(0), "not in the manifest"),
        (lambda m: m["files"][0].update(rows=1), "the manifest says 1"),
        (lambda m: m["rows"].update(visits=1), "says 1 rows of visits"),
        (lambda m: m.update(recipe_hash="0" * 16), "the schema or its metadata"),
        (lambda m: m["versions"].update(numpy="1.0"), f"{RUNS}: no run made this"),
    ],
)
def test_a_manifest_edited_with_care_is_found_too(folder, change, words):
    rewrite(folder, change)
    problems = verify(folder)
    assert any(words in problem for problem in problems), problems
    assert any(RUNS in problem for problem in problems)  # whatever was edited


def test_a_forgery_that_fits_itself_is_found_by_making_it_again(folder):
    lines = pq.read_table(folder / LINES)
    quantity = lines.column("quantity").to_numpy().copy()
    quantity[0] += 1
    place = lines.schema.get_field_index("quantity")
    forged = lines.set_column(place, lines.schema.field(place), [quantity])
    pq.write_table(forged, folder / LINES, compression="zstd")
    facts = FileFacts.of(folder, LINES, lines.num_rows)

    def forge(manifest):
        for table in manifest["files"]:
            if table["path"] == LINES:
                table.update(sha256=facts.sha256, bytes=facts.bytes)

    rewrite(folder, forge)
    assert [p for p in verify(folder) if p.startswith(LINES)] == []
    assert regenerate(folder, [0]) == []
    assert regenerate(folder, [1]) == [f"{LINES}: made again, it differs"]


def test_other_bytes_of_the_same_rows_are_told_apart(folder):
    lines = pq.read_table(folder / LINES)
    pq.write_table(lines, folder / LINES, compression="none")

    def forge(manifest):
        for table in manifest["files"]:
            if table["path"] == LINES:
                table["sha256"] = file_sha256(folder / LINES)
        manifest["versions"]["pyarrow"] = "1.0"

    rewrite(folder, forge)
    (problem,) = regenerate(folder, [1])
    assert "the rows are the same, the bytes are not" in problem
    assert "pyarrow 1.0, here" in problem


def test_log_and_card_are_checked(folder):
    log = (folder / RUNS).read_text()
    (folder / RUNS).write_text(log + log)
    assert any(p.startswith(RUNS) for p in verify(folder))
    (folder / RUNS).write_text(log)
    card = folder / generate.CARD
    card.write_text(card.read_text().replace("tiny", "huge"))
    assert verify(folder) == [f"{generate.CARD}: not the card of this manifest"]


def test_a_shard_that_there_is_not(made, tmp_path):
    with pytest.raises(ValueError, match="there is no shard 3: they count from 0 to 2"):
        regenerate(made, [3])
    with pytest.raises(FileNotFoundError, match="not a finished artefact"):
        verify(tmp_path)
