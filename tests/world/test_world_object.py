"""A world is immutable: read-only arrays, its copy is itself, a pickle brings it back whole."""

from __future__ import annotations

import copy
import dataclasses
import pickle

import numpy as np
import pytest

import retail_gym
from retail_gym.simulator import Simulator


@pytest.fixture(scope="module")
def persistent():
    return retail_gym.make_world("tiny", 0, features="persistent")


def arrays(world):
    found = {k: v for k, v in vars(world).items() if isinstance(v, np.ndarray)}
    found |= {k: v for k, v in vars(world.coefficients).items() if isinstance(v, np.ndarray)}
    found |= {f"cap.{k}": v for k, v in vars(world.cap_reference).items()
              if isinstance(v, np.ndarray)}  # fmt: skip
    return found


def test_every_array_is_read_only(persistent):
    found = arrays(persistent)
    assert len(found) >= 16
    for name, value in found.items():
        assert not value.flags.writeable, name
        with pytest.raises(ValueError, match="read-only"):
            value[...] = 0


@pytest.mark.parametrize("name", ["category_start", "category_of_product"])
def test_derived_arrays_are_read_only_too(name):
    world = retail_gym.make_world("tiny", 0, features="persistent", n_customers=1)
    assert not getattr(world, name).flags.writeable


def test_fields_cannot_be_set(tiny_world):
    with pytest.raises(dataclasses.FrozenInstanceError):
        tiny_world.gamma_store_1 = 1.0


def test_a_copy_is_the_world_itself(tiny_world):
    assert copy.copy(tiny_world) is tiny_world
    assert copy.deepcopy(tiny_world) is tiny_world
    assert copy.deepcopy({"world": [tiny_world]})["world"][0] is tiny_world


@pytest.mark.parametrize("name", ["tiny", "coupon_driven"])
def test_a_pickle_round_trip_gives_an_equal_read_only_world(name):
    world = retail_gym.make_world(name, 0)
    again = pickle.loads(pickle.dumps(world))
    assert again is not world
    for field in dataclasses.fields(world):
        ours, theirs = getattr(again, field.name), getattr(world, field.name)
        if field.name == "cap_reference":
            for part in ("percentile", "product", "level", "slope"):
                assert np.array_equal(getattr(ours, part), getattr(theirs, part))
        elif field.name == "coefficients":
            for part, array in vars(theirs).items():
                assert array is None or np.array_equal(getattr(ours, part), array), part
        elif field.name == "promotion":
            assert (ours.a01, ours.a11, ours.depth) == (theirs.a01, theirs.a11, theirs.depth)
        elif theirs is not None:
            assert np.array_equal(ours, theirs), field.name
    assert again.reward_scale == world.reward_scale
    for key, value in arrays(again).items():
        if key not in ("category_start", "category_of_product"):
            assert not value.flags.writeable, key
    price = world.base_price * 0.8
    a, b = Simulator(world, 3).step(price), Simulator(again, 3).step(price)
    assert np.array_equal(a.lines.product, b.lines.product)


def test_product_and_category_indices(tiny_world):
    assert tiny_world.category_sizes.tolist() == [4, 3, 2]
    assert tiny_world.category_start.tolist() == [0, 4, 7]
    assert tiny_world.category_of_product.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2]


def test_the_repr_says_what_it_is(tiny_world):
    assert repr(tiny_world) == "World('tiny', seed=0, customers=5, products=9, categories=3)"


def test_segments_are_an_array_split_by_mean_price_sensitivity():
    world = retail_gym.make_world("tiny", 0, n_customers=11)
    beta_w = [
        sum(world.c * world.beta_u[u] * world.beta_i[i] for i in range(9)) / 9 for u in range(11)
    ]
    order = sorted(range(11), key=lambda u: beta_w[u])  # most negative, most sensitive, first
    segments = world.segment_customers(3)
    assert [len(s) for s in segments] == [4, 4, 3]  # numpy.array_split of 11
    assert [u for s in segments for u in s.tolist()] == order
    assert max(beta_w[u] for u in segments[0]) < min(beta_w[u] for u in segments[2])


def test_one_segment_holds_everybody_and_u_segments_one_each(tiny_world):
    assert sorted(tiny_world.segment_customers(1)[0].tolist()) == [0, 1, 2, 3, 4]
    assert [len(s) for s in tiny_world.segment_customers(5)] == [1] * 5


@pytest.mark.parametrize("segments", [0, -1, 6, 1.5, "two", None])
def test_an_impossible_number_of_segments_is_refused(tiny_world, segments):
    with pytest.raises(ValueError, match="segments"):
        tiny_world.segment_customers(segments)
