"""Manifests and run logs: what was edited is found."""

from __future__ import annotations

import json

import pytest

from retail_gym.data.lineage import (
    MANIFEST,
    RUNS,
    FileFacts,
    append_run,
    check_runs,
    file_sha256,
    read_manifest,
    write_manifest,
)

#: SHA-256 of "abc" (FIPS 180-2, appendix B.1).
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def artefact(tmp_path):
    (tmp_path / "a.txt").write_text("abc")
    facts = [FileFacts.of(tmp_path, "a.txt")]
    parents = [{"role": "policy", "name": "p", "sha256": ABC}]
    write_manifest(tmp_path, "thing", {"seed": 3}, facts, parents)
    return tmp_path


def test_checksum_is_sha256(artefact):
    assert file_sha256(artefact / "a.txt") == ABC
    assert FileFacts.of(artefact, "a.txt", 7) == FileFacts("a.txt", 7, 3, ABC)


def test_manifest_comes_back(artefact):
    manifest = read_manifest(artefact, "thing")
    assert manifest["seed"] == 3
    assert manifest["files"] == [{"path": "a.txt", "rows": None, "bytes": 3, "sha256": ABC}]
    assert manifest["parents"][0]["name"] == "p"


@pytest.mark.parametrize(
    ("old", "new"), [('"seed": 3', '"seed": 4'), ('"bytes": 3', '"bytes": 4'), ("ba78", "ba79")]
)
def test_an_edited_manifest_is_found(artefact, old, new):
    file = artefact / MANIFEST
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(ValueError, match="was edited"):
        read_manifest(artefact)


def test_other_kinds_versions_and_damage_are_refused(artefact, tmp_path):
    with pytest.raises(ValueError, match="describes a thing, not a dataset"):
        read_manifest(artefact, "dataset")
    (artefact / MANIFEST).write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        read_manifest(artefact)
    with pytest.raises(FileNotFoundError, match="not a finished artefact"):
        read_manifest(tmp_path / "nowhere")


def test_run_log_only_grows(tmp_path):
    assert check_runs(tmp_path) == [f"{RUNS}: missing"]
    for n in range(3):
        append_run(tmp_path, {"event": "made", "n": n})
    file = tmp_path / RUNS
    lines = file.read_text().splitlines()
    assert [json.loads(line)["n"] for line in lines] == [0, 1, 2]
    assert check_runs(tmp_path) == []
    for changed in (
        [lines[0], lines[2]],  # a line removed
        [lines[0].replace('"n": 0', '"n": 9'), *lines[1:]],  # a line changed
        lines[1:],
    ):
        file.write_text("\n".join(changed) + "\n")
        assert check_runs(tmp_path) != []
    file.write_text("\n".join([*lines, "{"]) + "\n")
    assert check_runs(tmp_path) == [f"{RUNS}: line 4 is damaged"]
