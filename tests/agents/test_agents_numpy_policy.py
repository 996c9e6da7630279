"""Policies as arrays: the same numbers as torch, no pickles, clear refusals."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import agents
from agents.numpy_policy import NumpyPolicy

BOX = {"action.low": np.zeros(2), "action.high": np.array([0.5, 0.6])}


def linear(**changes):
    arrays = {"layer0.weight": np.zeros((2, 3)), "layer0.bias": np.zeros(2)} | BOX
    return {name: value for name, value in (arrays | changes).items() if value is not None}


def test_by_hand():
    arrays = {
        "observation.mean": np.array([1.0, 0.0]),
        "observation.scale": np.array([2.0, 1.0]),
        "layer0.weight": np.array([[1.0, 1.0], [0.0, -1.0]]),
        "layer0.bias": np.array([0.5, 0.0]),
        "layer1.weight": np.array([[1.0, 1.0], [1.0, 0.0]]),
        "layer1.bias": np.array([-2.0, 0.0]),
    } | BOX
    # (3, 0.5) -> (1, 0.5) -> relu(2, -0.5) = (2, 0) -> (0, 2) -> clip (0, 1) -> (0.25, 0.6)
    policy = NumpyPolicy(arrays, "clip", "relu")
    assert policy(np.float32([3.0, 0.5]), 1) == pytest.approx([0.25, 0.6])
    assert policy(np.float32([3.0, 0.5]), 1).dtype == np.float32
    # tanh(0) = 0, tanh(2) = 0.9640
    squashed = NumpyPolicy(arrays, "squash", "relu")(np.float32([3.0, 0.5]), 1)
    assert squashed == pytest.approx([0.25, 0.3 * 1.9640276])
    # a box stretched by 1.2: 1.2 * 0.9640 is beyond the bound
    stretched = NumpyPolicy(arrays, "squash", "relu", stretch=1.2)(np.float32([3.0, 0.5]), 1)
    assert stretched == pytest.approx([0.25, 0.6])
    # normalised observations stop at the bound: (200, 0) -> 10, then layer0 (10.5, 0)
    assert NumpyPolicy(arrays, "squash", "relu")(np.float32([401.0, 0.0]), 1)[0] == pytest.approx(
        0.25 * (1 + np.tanh(8.5))
    )


def test_table_takes_the_best():
    table = np.array([[0.0, 0.0], [0.2, 0.6], [0.5, 0.4]])
    arrays = {
        "layer0.weight": np.zeros((3, 1)), "layer0.bias": np.array([1.0, 3.0, 2.0]),
        "action.table": table,
    }  # fmt: skip
    assert NumpyPolicy(arrays, "choose")(np.zeros(1), 1) == pytest.approx([0.2, 0.6])


def test_memory_is_forgotten_at_reset():
    generator = np.random.default_rng(0)
    arrays = {
        "lstm.weight_input": generator.normal(size=(16, 3)),
        "lstm.weight_hidden": generator.normal(size=(16, 4)),
        "lstm.bias": generator.normal(size=16),
        "layer0.weight": generator.normal(size=(2, 4)),
        "layer0.bias": np.zeros(2),
    } | BOX
    policy = NumpyPolicy(arrays, "squash")
    first = policy(np.ones(3), 1)
    second = policy(np.ones(3), 2)
    assert not np.allclose(first, second)
    policy.reset(5)
    assert np.array_equal(policy(np.ones(3), 1), first)


def test_saved_and_read(tmp_path):
    policy = NumpyPolicy(linear(**{"layer0.bias": np.array([0.1, 0.9])}), "clip", "relu", 5.0)
    path = policy.save(tmp_path / "deep" / "policy.npz")
    again = NumpyPolicy.load(path)
    assert again.form == policy.form
    assert again.digest == policy.digest
    assert repr(again) == repr(policy)
    assert np.array_equal(again(np.ones(3), 1), policy(np.ones(3), 1))
    other = NumpyPolicy(linear(**{"layer0.bias": np.array([0.1, 0.8])}), "clip", "relu", 5.0)
    assert other.digest != policy.digest
    assert pickle.loads(pickle.dumps(policy)).digest == policy.digest  # to worker processes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer0.bias": None}, "missing arrays.*layer0.bias"),
        ({"layer0.weight": None, "layer0.bias": None}, "missing arrays.*layer0.weight"),
        ({"layer0.bias": np.zeros(3)}, "layer0.weight must have shape"),
        ({"layer0.weight": np.zeros((4, 3)), "layer0.bias": np.zeros(4)}, "action.low must have"),
        ({"layer0.weight": np.full((2, 3), np.nan)}, "finite"),
        ({"layer0.weight": np.array([["a"]])}, "finite floating-point"),
        ({"layer0.weight": np.zeros(2)}, "must be a matrix"),
        ({"layer2.weight": np.zeros((2, 2))}, "unknown arrays.*layer2"),
        ({"observation.mean": np.zeros(3)}, "missing arrays.*observation.scale"),
        ({"observation.mean": np.zeros(3), "observation.scale": np.zeros(3)}, "must be positive"),
        ({"action.low": np.ones(2)}, "must not exceed"),
        ({"lstm.bias": np.zeros(8)}, "missing arrays.*lstm.weight_hidden"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        NumpyPolicy(linear(**changes), "clip")


def test_unknown_names_and_observations_are_refused():
    with pytest.raises(ValueError, match=r"unknown head 'clipp'.*Did you mean 'clip'"):
        NumpyPolicy(linear(), "clipp")
    with pytest.raises(ValueError, match="unknown activation"):
        NumpyPolicy(linear(), "clip", "gelu")
    with pytest.raises(ValueError, match="trained on observations of 3 numbers"):
        NumpyPolicy(linear(), "clip")(np.zeros(4), 1)


def test_files_that_are_no_policies_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        agents.load(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError, match=r"no trained policy at .*pretrained ones"):
        agents.load(tmp_path / "none")
    good = NumpyPolicy(linear(), "clip").save(tmp_path / "policy.npz").read_bytes()
    for name, content in (("cut", good[:-40]), ("text", b"hello"), ("empty", b"")):
        (tmp_path / f"{name}.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"damaged or not an .npz"):
            agents.load(tmp_path / f"{name}.npz")
    flipped = bytearray(good)
    flipped[len(good) // 3] ^= 0xFF
    (tmp_path / "flipped.npz").write_bytes(bytes(flipped))
    with pytest.raises(ValueError, match=r"damaged|no usable policy|not a policy"):
        agents.load(tmp_path / "flipped.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(2))
    with pytest.raises(ValueError, match="not a policy of this project"):
        agents.load(tmp_path / "other.npz")
    np.savez(tmp_path / "objects.npz", header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match=r"damaged or not an .npz"):
        agents.load(tmp_path / "objects.npz")


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("the pickle was read",)


@pytest.mark.parametrize("suffix", [".zip", ".pkl", ".pt"])
def test_pickles_are_refused_unless_trusted(suffix, tmp_path):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match=r"runs whatever code .* trust=True"):
        agents.load(path)
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(ValueError, match="is no trained policy"):
        agents.load(tmp_path / "notes.txt", trust=True)
