"""Configuration machinery: refusals with clear messages, TOML, hashes, files whole or none."""

import dataclasses
import errno
import math
import os
import stat
import sys
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_gym import config
from retail_gym.config import (
    CACHE_VARIABLE,
    atomic_write,
    cache_folder,
    check_choice,
    check_finite,
    check_int,
    read_toml,
    stable_hash,
    to_plain,
    to_toml,
)

# --- Checks ----------------------------------------------------------------------------------


def test_check_choice_accepts_a_choice():
    check_choice("reward", "revenue", ["revenue", "margin"])
    check_choice("reward", "revenue", {"revenue": 1, "margin": 2})
    check_choice("size", 3, range(5))


def test_check_choice_names_the_choices_and_the_closest():
    with pytest.raises(ValueError, match=r"unknown reward 'revenu': choose from") as caught:
        check_choice("reward", "revenu", ["margin", "revenue", "balanced"])
    assert "margin, revenue, balanced" in str(caught.value)
    assert str(caught.value).endswith("Did you mean 'revenue'?")


@pytest.mark.parametrize("value", ["zzzz", None, 7, 1.5, ["a"], ("a",), {"a": 1}])
def test_check_choice_without_a_close_choice_has_no_hint(value):
    with pytest.raises(ValueError, match="choose from margin, revenue") as caught:
        check_choice("reward", value, ["margin", "revenue"])
    assert "Did you mean" not in str(caught.value)


def test_check_choice_reads_an_iterator_once():
    with pytest.raises(ValueError, match="choose from a, b"):
        check_choice("letter", "c1", iter(["a", "b"]))


@pytest.mark.parametrize("value", [3, 3.0, np.int64(3), np.float32(3.0), np.uint8(3)])
def test_check_int_accepts_whole_numbers(value):
    got = check_int("weeks", value, 1)
    assert got == 3
    assert type(got) is int


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, True, False, None, 1.5, "x", "", [1], (1, 2), {}, 1j,
     np.array([1, 2]), np.float64("nan")],
)  # fmt: skip
def test_check_int_refuses_what_is_no_whole_number(value):
    with pytest.raises(ValueError, match="weeks must be a whole number"):
        check_int("weeks", value, 0)


@pytest.mark.parametrize("value", ["3", "3.0", b"3", np.bool_(True)])
def test_check_int_refuses_strings_and_numpy_bools(value):
    with pytest.raises(ValueError, match="weeks must be a whole number"):
        check_int("weeks", value, 0)


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1, 2**64 - 1])
def test_check_int_keeps_every_digit(value):
    assert check_int("seed", value, 0, 2**64 - 1) == value


@pytest.mark.parametrize("value", [2**64, 10**400], ids=["2**64", "10**400"])
def test_check_int_refuses_a_number_beyond_the_range(value):
    with pytest.raises(ValueError, match="seed must be at least 0 and at most"):
        check_int("seed", value, 0, 2**64 - 1)


def test_check_int_names_the_range():
    with pytest.raises(ValueError, match=r"^weeks must be at least 1, got 0$"):
        check_int("weeks", 0, 1)
    with pytest.raises(ValueError, match=r"^segments must be at least 1 and at most 5, got 6$"):
        check_int("segments", 6, 1, 5)
    assert check_int("segments", 5, 1, 5) == 5
    assert check_int("segments", 1, 1, 5) == 1


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(0, 10**6))
def test_check_int_accepts_exactly_the_range(value, low, width):
    if low <= value <= low + width:
        assert check_int("n", value, low, low + width) == value
    else:
        with pytest.raises(ValueError, match="n must be at least"):
            check_int("n", value, low, low + width)


@pytest.mark.parametrize("value", [2, 2.5, np.float32(0.5), np.int64(4), -0.0])
def test_check_finite_accepts_numbers(value):
    got = check_finite("depth", value)
    assert got == float(value)
    assert type(got) is float


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, np.float64("nan"), np.float32("inf"), None, "x", "", [1.0],
     {}, 1j, np.array([1.0, 2.0])],
)  # fmt: skip
def test_check_finite_refuses_what_is_no_finite_number(value):
    with pytest.raises(ValueError, match=r"depth must be a (finite )?number"):
        check_finite("depth", value)


@pytest.mark.parametrize("value", [True, False, np.bool_(True), "0.5", "nan", b"1"])
def test_check_finite_refuses_bools_and_strings(value):
    with pytest.raises(ValueError, match=r"depth must be a (finite )?number"):
        check_finite("depth", value)


def test_check_finite_refuses_an_integer_too_large_for_a_float():
    with pytest.raises(ValueError, match=r"depth must be a (finite )?number"):
        check_finite("depth", 10**400)


def test_check_finite_names_the_range():
    with pytest.raises(ValueError, match=r"depth must be a finite number in \[0, 0.5\], got 0.6"):
        check_finite("depth", 0.6, 0.0, 0.5)
    assert check_finite("depth", 0.5, 0.0, 0.5) == 0.5
    assert check_finite("depth", 0.0, 0.0, 0.5) == 0.0


@given(st.floats(), st.floats(-1e6, 1e6), st.floats(0, 1e6))
def test_check_finite_accepts_exactly_the_range(value, low, width):
    high = low + width
    if math.isfinite(value) and low <= value <= high:
        assert check_finite("x", value, low, high) == value
    else:
        with pytest.raises(ValueError, match="x must be a finite number"):
            check_finite("x", value, low, high)


# --- Plain values, hashes --------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Law:
    mean: float
    sd: float = 1.0
    kind: ClassVar[str] = "law"


@dataclasses.dataclass(frozen=True)
class Settings:
    name: str = "a"
    law: Law = Law(0.25, 0.5)
    sizes: tuple[int, ...] = (1, 2)
    high: float = math.inf
    note: str | None = None


def test_to_plain_by_hand():
    assert to_plain(Settings()) == {
        "name": "a", "law": {"kind": "law", "mean": 0.25, "sd": 0.5}, "sizes": [1, 2],
        "high": math.inf, "note": None,
    }  # fmt: skip


def test_to_plain_of_numpy_values():
    got = to_plain({"a": np.arange(3), "b": np.float64(0.5), 3: (np.int64(1), [np.bool_(True)])})
    assert got == {"a": [0, 1, 2], "b": 0.5, "3": [1, [True]]}
    assert type(got["b"]) is float
    assert type(got["3"][0]) is int


def test_stable_hash_is_frozen():
    assert stable_hash(Settings()) == "4bf29905d5d9fee9"
    assert stable_hash({"b": [1, 2.5], "a": "x"}) == "66efddae6a975003"


def test_stable_hash_of_equal_content_is_equal():
    assert stable_hash(Settings()) == stable_hash(Settings())
    assert stable_hash(Settings()) == stable_hash(to_plain(Settings()))
    assert stable_hash({"a": 1, "b": 2}) == stable_hash({"b": 2, "a": 1})
    assert stable_hash((1, 2)) == stable_hash([1, 2]) == stable_hash(np.array([1, 2]))


def test_stable_hash_of_equal_numbers_is_equal():
    # Law(0) == Law(0.0), so the hashes must agree
    assert Law(0) == Law(0.0)
    assert stable_hash(Law(0)) == stable_hash(Law(0.0))


@pytest.mark.parametrize(
    "change",
    [{"name": "b"}, {"law": Law(0.25, 2.0)}, {"sizes": (2, 1)}, {"sizes": (1, 2, 3)},
     {"high": 1e300}, {"high": -math.inf}, {"note": ""}],
)  # fmt: skip
def test_stable_hash_notices_every_field(change):
    assert stable_hash(dataclasses.replace(Settings(), **change)) != stable_hash(Settings())


def test_stable_hash_tells_types_apart():
    @dataclasses.dataclass(frozen=True)
    class Other:
        mean: float
        sd: float = 1.0
        kind: ClassVar[str] = "other"

    assert stable_hash(Other(0.0)) != stable_hash(Law(0.0))
    assert stable_hash("1") != stable_hash(1)
    assert stable_hash(1.0) != stable_hash(math.nextafter(1.0, 2.0))


# --- TOML ------------------------------------------------------------------------------------


def round_trip(tmp_path, value):
    file = tmp_path / "config.toml"
    file.write_text(to_toml(value), encoding="utf-8")
    return read_toml(file)


def test_toml_by_hand():
    assert to_toml(Settings()) == (
        'name = "a"\nlaw = { kind = "law", mean = 0.25, sd = 0.5 }\nsizes = [1, 2]\nhigh = inf\n'
    )


def test_toml_round_trip_leaves_out_none(tmp_path):
    assert round_trip(tmp_path, Settings()) == {
        k: v for k, v in to_plain(Settings()).items() if v is not None
    }


@pytest.mark.parametrize("number", [math.inf, -math.inf, 0.1, 1e-300, 1e16, -0.0, 2**62, -7, True])
def test_toml_round_trip_of_numbers(tmp_path, number):
    value = {"x": number, "list": [number, number], "table": {"x": number}}
    got = round_trip(tmp_path, value)
    assert got == value
    assert type(got["x"]) is type(number)


def test_toml_round_trip_of_nan(tmp_path):
    assert math.isnan(round_trip(tmp_path, {"x": math.nan})["x"])


def test_toml_keeps_every_digit_of_a_float(tmp_path):
    value = {"x": [0.1 + 0.2, math.pi, 1 / 3, 5e-324, 1.7976931348623157e308]}
    assert round_trip(tmp_path, value) == value


@pytest.mark.parametrize(
    "text", ["", "a 'b' \"c\"", "back\\slash", "line\nbreak\ttab", "naïve €", "# no comment"]
)
def test_toml_round_trip_of_text(tmp_path, text):
    assert round_trip(tmp_path, {"x": text}) == {"x": text}


@pytest.mark.parametrize("text", ["\U0001f6d2", "\x7f"])
def test_toml_round_trip_of_unusual_characters(tmp_path, text):
    assert round_trip(tmp_path, {"x": text}) == {"x": text}


@pytest.mark.parametrize("key", ["a b", "I.II"])
def test_toml_round_trip_of_unusual_keys(tmp_path, key):
    assert round_trip(tmp_path, {key: 1, "t": {key: 2}}) == {key: 1, "t": {key: 2}}


def test_toml_leaves_out_none_in_a_nested_table(tmp_path):
    assert round_trip(tmp_path, {"x": {"a": None, "b": 1}}) == {"x": {"b": 1}}


def test_toml_and_hash_agree(tmp_path):
    value = {"a": [1, 2.5], "law": Law(0.25), "high": math.inf}
    assert stable_hash(round_trip(tmp_path, value)) == stable_hash(value)


def test_read_toml_of_a_missing_file_names_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no configuration file at .*nowhere\.toml"):
        read_toml(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("content", [b"a = \n", b"a = 1\na = 2\n", b"\xff\xfe\x00", b"= 3\n"])
def test_read_toml_of_a_broken_file_names_it(tmp_path, content):
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.toml is not a valid TOML file: "):
        read_toml(file)


def test_read_toml_names_the_line(tmp_path):
    file = tmp_path / "broken.toml"
    file.write_text("a = 1\nb = = 2\n")
    with pytest.raises(ValueError, match="line 2"):
        read_toml(str(file))


# --- Files whole or not at all ---------------------------------------------------------------


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write_half(file, error):
    """Fail in the middle of a file."""
    with atomic_write(file) as handle:
        handle.write(b"half")
        raise error


def test_atomic_write_makes_the_folder_and_the_file(tmp_path):
    file = tmp_path / "new" / "deep" / "out.bin"
    with atomic_write(file) as handle:
        handle.write(b"abc")
        assert not file.exists()
    assert file.read_bytes() == b"abc"
    assert names(file.parent) == ["out.bin"]


def test_atomic_write_replaces_the_old_file(tmp_path):
    file = tmp_path / "out.bin"
    file.write_bytes(b"old")
    with atomic_write(str(file)) as handle:
        handle.write(b"new")
        handle.flush()
        assert file.read_bytes() == b"old"
    assert file.read_bytes() == b"new"
    assert names(tmp_path) == ["out.bin"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_atomic_write_gives_the_usual_permissions(tmp_path, umask):
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "out.bin") as handle:
            handle.write(b"x")
        assert stat.S_IMODE((tmp_path / "out.bin").stat().st_mode) == 0o666 & ~umask
        assert os.umask(umask) == umask  # it puts the mask back
    finally:
        os.umask(before)


@pytest.mark.parametrize("error", [RuntimeError("stop"), KeyboardInterrupt(), ValueError("bad")])
def test_atomic_write_leaves_the_old_file_when_interrupted(tmp_path, error):
    file = tmp_path / "out.bin"
    file.write_bytes(b"old")
    with pytest.raises(type(error)) as caught:
        write_half(file, error)
    assert caught.value is error
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == ["out.bin"]


def test_atomic_write_leaves_nothing_when_interrupted_the_first_time(tmp_path):
    with pytest.raises(RuntimeError, match="stop"):
        write_half(tmp_path / "out.bin", RuntimeError("stop"))
    assert names(tmp_path) == []


def test_atomic_write_below_a_file_names_the_path(tmp_path):
    (tmp_path / "file").write_text("no folder")
    for inside in ("out.bin", "deep/out.bin"):
        with (
            pytest.raises(OSError, match="cannot write") as caught,
            atomic_write(tmp_path / "file" / inside),
        ):
            pytest.fail("the body must not run")
        assert str(tmp_path / "file" / inside) in str(caught.value)
        assert "Choose a folder" in str(caught.value)
    assert names(tmp_path) == ["file"]


def test_atomic_write_onto_a_folder_names_it_and_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(OSError, match=r"cannot write .*folder"),
        atomic_write(tmp_path / "folder") as handle,
    ):
        handle.write(b"x")
    assert names(tmp_path) == ["folder"]


def test_atomic_write_on_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    file = tmp_path / "out.bin"
    file.write_bytes(b"old")

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(config.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught, atomic_write(file) as handle:
        handle.write(b"new")
    assert caught.value.errno == errno.ENOSPC
    assert str(file) in str(caught.value)
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == ["out.bin"]


def test_atomic_write_on_a_disk_that_fills_while_writing(tmp_path):
    file = tmp_path / "out.bin"
    file.write_bytes(b"old")
    with pytest.raises(OSError, match="No space left") as caught:
        write_half(file, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert caught.value.errno == errno.ENOSPC
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == ["out.bin"]


def test_atomic_write_when_the_rename_fails(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(config.os, "replace", refuse)
    with (
        pytest.raises(PermissionError, match="cannot write"),
        atomic_write(tmp_path / "out.bin") as handle,
    ):
        handle.write(b"x")
    assert names(tmp_path) == []


# --- The cache folder ------------------------------------------------------------------------


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert cache_folder() is None
    monkeypatch.delenv(CACHE_VARIABLE)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "retail_gym"
