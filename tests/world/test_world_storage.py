"""Worlds on disk: equal after a round trip, and one clear error for everything else."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import zipfile

import numpy as np
import pytest

import retail_gym
from retail_gym import World
from retail_gym.simulator import Simulator
from retail_gym.world.priors import Uniform


def assert_equal(a: World, b: World) -> None:
    for field in dataclasses.fields(World):
        ours, theirs = getattr(a, field.name), getattr(b, field.name)
        if field.name == "cap_reference":
            for part in ("percentile", "product", "level", "slope"):
                assert np.array_equal(getattr(ours, part), getattr(theirs, part)), part
        elif field.name == "promotion":
            for part in ("a01", "a11", "depth"):
                assert np.array_equal(getattr(ours, part), getattr(theirs, part)), part
        elif field.name == "coefficients":
            assert type(ours) is type(theirs)
            for part, array in vars(theirs).items():
                again = getattr(ours, part)
                assert np.array_equal(again, array) if array is not None else again is None, part
                assert array is None or not again.flags.writeable, part
        elif field.name == "stored_reward_scale":
            continue
        elif isinstance(theirs, np.ndarray):
            assert ours.dtype == theirs.dtype, field.name
            assert np.array_equal(ours, theirs), field.name
            assert not ours.flags.writeable, field.name
        else:
            assert ours == theirs, field.name
            assert type(ours) is type(theirs), field.name
    assert a.reward_scale == b.reward_scale


@pytest.fixture
def saved(tiny_world, tmp_path):
    return tiny_world.save(tmp_path / "store.npz")


WORLDS = {
    "tiny": {"preset": "tiny"},
    "persistent": {"preset": "tiny", "features": "persistent", "theta": Uniform(0.2, 0.4)},
    "no cap": {"preset": "tiny", "clip_percentile": 100},
    "Beta plan": {"preset": "calibrated", "category_sizes": (3, 2), "n_customers": 4},
    "coupon": {"preset": "coupon_driven", "category_sizes": (3, 2), "n_customers": 4},
    "plan per product": {
        "preset": "tiny",
        "promotion": retail_gym.PromotionPlan(np.linspace(0.1, 0.3, 9), np.full(9, 0.6), 0.25),
    },
    "large seed": {"preset": "tiny", "seed": 2**63 - 1},
}


@pytest.mark.parametrize("case", WORLDS)
def test_save_and_load_give_an_equal_world_and_the_same_weeks(case, tmp_path):
    world = retail_gym.make_world(**WORLDS[case])
    path = world.save(tmp_path / "store.npz")
    assert path == tmp_path / "store.npz"
    again = World.load(path)
    assert_equal(again, world)
    a, b = Simulator(world, 11), Simulator(again, 11)
    for week in range(10):
        price = world.base_price * (1 - 0.05 * (week % 4))
        ours, theirs = a.step(price), b.step(price)
        for name in ("customer", "product", "quantity"):
            assert np.array_equal(getattr(ours.lines, name), getattr(theirs.lines, name))
        assert ours.revenue == theirs.revenue


def test_make_world_reads_a_saved_world(saved, tiny_world):
    assert_equal(retail_gym.make_world(saved), tiny_world)
    assert_equal(retail_gym.make_world(str(saved)), tiny_world)
    with pytest.raises(ValueError, match="keeps its seed 0"):
        retail_gym.make_world(saved, seed=5)
    with pytest.raises(TypeError, match="n_customers"):
        retail_gym.make_world(saved, n_customers=3)


def test_the_suffix_is_added_and_folders_are_made(tiny_world, tmp_path):
    path = tiny_world.save(tmp_path / "new" / "deep" / "store")
    assert path == tmp_path / "new" / "deep" / "store.npz"
    assert_equal(World.load(path), tiny_world)
    assert [p.name for p in path.parent.iterdir()] == ["store.npz"]  # no temporary file left


def test_saving_replaces_the_old_file(tiny_world, tmp_path):
    other = retail_gym.make_world("tiny", 9)
    path = other.save(tmp_path / "store.npz")
    tiny_world.save(path)
    assert World.load(path).seed == 0


def test_a_failed_save_leaves_the_old_file(tmp_path, tiny_world, monkeypatch):
    path = tiny_world.save(tmp_path / "store.npz")
    before = path.read_bytes()

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match=r"store\.npz.*No space left"):
        retail_gym.make_world("tiny", 9).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["store.npz"]


def test_a_parent_that_is_a_file_is_one_clear_error(tmp_path, tiny_world):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match=r"store\.npz.*Choose a folder"):
        tiny_world.save(tmp_path / "file" / "store.npz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no \w+ at .*nowhere\.npz"):
        World.load(tmp_path / "nowhere.npz")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_one_clear_error(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=r"store\.npz is damaged or not an \.npz file"):
        World.load(saved)


def test_flipped_bytes_are_one_clear_error(saved):
    content = bytearray(saved.read_bytes())
    middle = len(content) // 2
    for k in range(middle, middle + 40):
        content[k] ^= 0xFF
    saved.write_bytes(content)
    with pytest.raises(ValueError, match=r"store\.npz"):
        World.load(saved)


@pytest.mark.parametrize(
    ("offset", "value"), [(6, 99), (8, 0x01), (8, 0x20), (10, 77)],
    ids=["version", "encrypted", "patched", "compression"],
)  # fmt: skip
def test_an_archive_zipfile_cannot_read_is_one_clear_error(saved, offset, value):
    """Damage in the zip's directory: zipfile answers NotImplementedError or RuntimeError."""
    content = bytearray(saved.read_bytes())
    content[content.index(b"PK\x01\x02") + offset] = value
    content[content.index(b"PK\x03\x04") + offset - 2] = value
    saved.write_bytes(content)
    with pytest.raises(ValueError, match=r"store\.npz is damaged or not an \.npz file"):
        World.load(saved)


def test_a_text_file_is_one_clear_error(tmp_path):
    path = tmp_path / "store.npz"
    path.write_text("week,customer\n1,2\n")
    with pytest.raises(ValueError, match=r"store\.npz is damaged or not an \.npz file"):
        World.load(path)


def test_a_single_array_is_one_clear_error(tmp_path):
    path = tmp_path / "store.npz"
    with path.open("wb") as stream:
        np.save(stream, np.arange(4))  # the .npy format under the wrong name
    with pytest.raises(ValueError, match=r"store\.npz"):
        World.load(path)


@pytest.mark.parametrize(
    "header", [None, np.array("no JSON"), np.array("[]"), np.array("{}"), np.array("7"),
               np.array(5.0), np.zeros(3)],
)  # fmt: skip
def test_a_foreign_npz_is_one_clear_error(tmp_path, header):
    path = tmp_path / "store.npz"
    extra = {} if header is None else {"header": header}
    np.savez(path, beta_x=np.ones((2, 3)), **extra)
    with pytest.raises(ValueError, match=r"store\.npz is an \.npz file but not a retail_gym world"):
        World.load(path)


def rewrite(path, change_header=lambda h: h, drop=(), **replace):
    with np.load(path) as archive:
        content = {name: archive[name] for name in archive.files if name not in drop}
    header = json.loads(str(content["header"]))
    content["header"] = np.array(json.dumps(change_header(header)))
    np.savez(path, **{**content, **replace})


def test_another_schema_version_is_one_clear_error(saved):
    rewrite(saved, lambda h: {**h, "schema_version": 99})
    with pytest.raises(ValueError, match=r"store\.npz has format .* version 99; .* version 1"):
        World.load(saved)


@pytest.mark.parametrize("drop", ["beta_x", "cap_level", "category_sizes"])
def test_a_missing_array_is_one_clear_error(saved, drop):
    rewrite(saved, drop=(drop,))
    with pytest.raises(ValueError, match=r"store\.npz is incomplete"):
        World.load(saved)


@pytest.mark.parametrize("drop", ["c", "promotion", "cap_percentile", "marketing"])
def test_a_missing_scalar_is_one_clear_error(saved, drop):
    rewrite(saved, lambda h: {k: v for k, v in h.items() if k != drop})
    with pytest.raises(ValueError, match=r"store\.npz is incomplete"):
        World.load(saved)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the file was unpickled",))


def test_loading_never_unpickles(saved, tmp_path):
    """Neither a pickle under the name of a world nor an object array within one is executed."""
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=r"pickle\.npz"):
        World.load(tmp_path / "pickle.npz")

    array = np.empty(1, dtype=object)
    array[0] = Bomb()
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=True)
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["beta_x.npy"] = stream.getvalue()
    with zipfile.ZipFile(saved, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=r"store\.npz"):
        World.load(saved)
