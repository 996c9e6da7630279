"""Configuration machinery: checks with clear messages, TOML in and out, stable hashes.

Configuration in this project is always a frozen dataclass. The helpers here keep three promises:
a wrong value is refused where it is given, naming what is allowed; a configuration can be written
to and read from one TOML file; and equal configurations have equal hashes on every machine.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import errno
import hashlib
import json
import math
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

__all__ = [
    "CACHE_VARIABLE",
    "OPTIONAL",
    "atomic_write",
    "cache_folder",
    "check_choice",
    "check_finite",
    "check_int",
    "read_toml",
    "stable_hash",
    "to_plain",
    "to_toml",
]

#: Environment variable that names the folder of the cache; empty: nothing is kept on disk.
CACHE_VARIABLE: Final = "RETAIL_GYM_CACHE"


def cache_folder() -> Path | None:
    """Folder for what is kept on disk: ``RETAIL_GYM_CACHE``, else the platform's; None for none."""
    named = os.environ.get(CACHE_VARIABLE)
    if named is not None:
        return Path(named) if named else None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "retail_gym"


#: Metadata of a dataclass field that plain values leave out while it is None.
OPTIONAL: Final = {"optional": True}


def check_choice(what: str, value: object, choices: Iterable[object]) -> None:
    """Refuse a value outside a list of choices, naming the list and the closest choice.

    Args:
        what: name of the argument, for the message.
        value: the value given.
        choices: the values allowed.

    Raises:
        ValueError: if ``value`` is not one of ``choices``.
    """
    allowed = list(choices)
    if value in allowed:
        return
    names = [str(choice) for choice in allowed]
    close = difflib.get_close_matches(str(value), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"unknown {what} {value!r}: choose from {', '.join(names)}.{hint}")


def check_int(what: str, value: object, low: int, high: int | None = None) -> int:
    """Return ``value`` as an int within [low, high], or refuse it.

    Raises:
        ValueError: if it is not a whole number in the range.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole and not (isinstance(value, float | np.floating) and float(value).is_integer()):
        raise ValueError(f"{what} must be a whole number, got {value!r}")
    number = int(value)  # type: ignore[call-overload]
    if number < low or (high is not None and number > high):
        upper = "" if high is None else f" and at most {high}"
        raise ValueError(f"{what} must be at least {low}{upper}, got {value!r}")
    return int(number)


def check_finite(what: str, value: object, low: float = -math.inf, high: float = math.inf) -> float:
    """Return ``value`` as a finite float within [low, high], or refuse it.

    Raises:
        ValueError: if it is not a finite number in the range.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
        raise ValueError(f"{what} must be a number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or not low <= number <= high:
        bounds = f" in [{low:g}, {high:g}]" if (low, high) != (-math.inf, math.inf) else ""
        raise ValueError(f"{what} must be a finite number{bounds}, got {value!r}")
    return number


def to_plain(value: Any) -> Any:
    """Turn a configuration value into plain dicts, lists, strings and numbers.

    A dataclass with a ``kind`` class attribute carries it along, so that a union of classes
    (priors, say) can be read back. A field marked ``OPTIONAL`` is left out while it is None, so
    that adding it changes no file and no hash.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        items = ((f, getattr(value, f.name)) for f in dataclasses.fields(value))
        plain = {
            f.name: to_plain(x) for f, x in items if not (x is None and "optional" in f.metadata)
        }
        kind = getattr(value, "kind", None)
        return {"kind": kind, **plain} if kind else plain
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return to_plain(value.tolist())
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def _canonical(plain: Any) -> Any:
    """Whole floats as integers, so that numbers that are equal are written alike."""
    if isinstance(plain, dict):
        return {key: _canonical(item) for key, item in plain.items()}
    if isinstance(plain, list):
        return [_canonical(item) for item in plain]
    return int(plain) if isinstance(plain, float) and plain.is_integer() else plain


def stable_hash(value: Any) -> str:
    """Return 16 hexadecimal digits that depend on the configuration's content alone."""
    text = json.dumps(_canonical(to_plain(value)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _toml_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_toml_lines(value)) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_lines(table: Mapping[str, Any]) -> list[str]:
    def name(key: str) -> str:
        return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml_value(key)

    return [f"{name(k)} = {_toml_value(item)}" for k, item in table.items() if item is not None]


def to_toml(value: Any) -> str:
    """Write a configuration as TOML text, one field a line; fields that are None are left out."""
    return "\n".join(_toml_lines(to_plain(value))) + "\n"


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML file into a dict.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is not TOML; the message names the line.
    """
    file = Path(path)
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(errno.ENOENT, f"no configuration file at {file}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not a valid TOML file: {error}") from None


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Open a file that appears under its name only when it is complete.

    The bytes go to a temporary file in the same folder, which is renamed at the end. An
    interrupted run or a full disk leaves whatever stood there before.

    Raises:
        OSError: if the folder cannot be made or written to; the message says what to do.
    """
    file = Path(path)
    handle = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = tempfile.NamedTemporaryFile(  # noqa: SIM115 (renamed, so not deleted at close)
            dir=file.parent, prefix=f".{file.name}.", suffix=".tmp", delete=False
        )
        with handle:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(handle.name, 0o666 & ~umask)
        os.replace(handle.name, file)
    except BaseException as error:
        if handle is not None:
            with contextlib.suppress(OSError):
                os.unlink(handle.name)
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            raise OSError(
                error.errno,
                f"cannot write {file}: {reason}. Choose a folder that exists, is writable and "
                "has room",
            ) from error
        raise
