"""Lineage: where an artefact comes from, beside the artefact, in files that a machine can check.

A folder of data holds ``manifest.json`` (what it was made of and a checksum of every file),
``README.md`` (the same for people, written from the manifest) and ``runs.jsonl``, a log that is
only ever appended to: each line carries the checksum of the line before it. The manifest says
nothing about when, where or how fast, so that the same data have the same manifest; the log does.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from retail_gym import __version__
from retail_gym.config import atomic_write, to_plain

__all__ = [
    "MANIFEST",
    "MANIFEST_VERSION",
    "RUNS",
    "FileFacts",
    "append_run",
    "check_runs",
    "file_sha256",
    "read_manifest",
    "versions",
    "write_json",
    "write_manifest",
]

MANIFEST: Final = "manifest.json"
RUNS: Final = "runs.jsonl"
#: Of the manifest's own fields; those of a kind of artefact have versions of their own.
MANIFEST_VERSION: Final = 1
_SELF: Final = "manifest_sha256"


@dataclass(frozen=True)
class FileFacts:
    """What a manifest says about one file."""

    path: str  # from the folder, with forward slashes
    rows: int | None  # of a table; None for other files
    bytes: int
    sha256: str

    @staticmethod
    def of(folder: Path, path: str, rows: int | None = None) -> FileFacts:
        """Measure a file."""
        file = folder / path
        return FileFacts(path, rows, file.stat().st_size, file_sha256(file))


def file_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def versions(*packages: str) -> dict[str, str]:
    """Versions of this package, of Python and of some others, as far as they are installed."""
    found = {"retail-gym": __version__, "python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def _self_hash(manifest: Mapping[str, Any]) -> str:
    body = {key: value for key, value in manifest.items() if key != _SELF}
    return hashlib.sha256(_text(body).encode()).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all."""
    with atomic_write(path) as stream:
        stream.write(_text(to_plain(value)).encode())


def write_manifest(
    folder: Path,
    kind: str,
    facts: Mapping[str, Any],
    files: list[FileFacts],
    parents: list[dict[str, str]],
) -> dict[str, Any]:
    """Write the manifest of an artefact, which is complete from then on.

    Args:
        folder: where the artefact is.
        kind: of artefact, e.g. ``"dataset"``.
        facts: what it was made of: configuration, seeds, versions, counts.
        files: every file but the manifest, the data card and the log.
        parents: what it was made from besides: ``role``, ``name`` and ``sha256`` of each.

    Returns:
        The manifest, which carries its own checksum as ``manifest_sha256``.
    """
    body = to_plain(facts) | {
        "kind": kind,
        "manifest_version": MANIFEST_VERSION,
        "files": [asdict(file) for file in sorted(files, key=lambda file: file.path)],
        "parents": parents,
    }
    manifest: dict[str, Any] = json.loads(_text(body))
    manifest[_SELF] = _self_hash(manifest)
    write_json(folder / MANIFEST, manifest)
    return manifest


def read_manifest(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """Read and check the manifest of an artefact.

    Args:
        folder: where the artefact is.
        kind: of artefact expected; None: any.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is no JSON, was edited, or is of another kind or version.
    """
    file = folder / MANIFEST
    if not file.is_file():
        raise FileNotFoundError(
            errno.ENOENT,
            f"no {MANIFEST} in {folder}: not a finished artefact of retail-gym "
            "(was the run interrupted? the same command goes on)",
        )
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        stated = manifest[_SELF]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is damaged ({error!r:.80})") from None
    if stated != _self_hash(manifest):
        raise ValueError(f"{file} was edited: it does not have the checksum it states")
    if manifest.get("manifest_version") != MANIFEST_VERSION:
        raise ValueError(
            f"{file} has version {manifest.get('manifest_version')}, this release reads "
            f"{MANIFEST_VERSION}"
        )
    if kind is not None and manifest.get("kind") != kind:
        raise ValueError(f"{file} describes a {manifest.get('kind')}, not a {kind}")
    assert isinstance(manifest, dict)
    return manifest


def append_run(folder: Path, facts: Mapping[str, Any]) -> None:
    """Add a line to the run log: what was done, when, and the checksum of the line before."""
    file = folder / RUNS
    lines = file.read_bytes().splitlines() if file.is_file() else []
    previous = hashlib.sha256(lines[-1]).hexdigest() if lines else ""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    entry = {"time": now, **to_plain(facts), "previous": previous}
    with file.open("ab") as stream:
        stream.write(json.dumps(entry, sort_keys=True).encode() + b"\n")


def check_runs(folder: Path) -> list[str]:
    """What is wrong with the run log, in words; nothing if it was only appended to."""
    file = folder / RUNS
    if not file.is_file():
        return [f"{RUNS}: missing"]
    previous = ""
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        try:
            stated = json.loads(line)["previous"]
        except (ValueError, KeyError, TypeError):
            return [f"{RUNS}: line {number} is damaged"]
        if stated != previous:
            return [f"{RUNS}: a line before line {number} was changed or removed"]
        previous = hashlib.sha256(line).hexdigest()
    return []
