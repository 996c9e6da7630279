"""Worlds of given arrays: the keys of the reference data (``market_*.npz``, ``equations_*.npz``)."""

from __future__ import annotations

import numpy as np
import pytest

from retail_gym import World
from retail_gym.simulator import Simulator
from retail_gym.world.priors import Beta

U, SIZES = 3, [4, 1, 2]
I, J = 7, 3  # noqa: E741
PAIRS = ("beta_x", "beta_z", "gamma_prod_1")


@pytest.fixture
def market():
    """The form of ``market_III.npz``: 3 customers, 7 products, 3 categories."""
    rng = np.random.default_rng(5)
    return {
        "category_sizes": np.array(SIZES),
        "beta_x": rng.lognormal(-1, 1, (U, I)),
        "beta_z": rng.lognormal(1, 0.4, (U, I)),
        "beta_u": -1 - rng.random(U),
        "beta_i": -1 - rng.random(I),
        "c": np.array(-1.4),
        "Z": rng.random(I),
        "alpha_0": 1 + rng.random(I),
        "alpha_1": np.array([1.5]),
        "gamma_cate_0": rng.normal(0, 0.5, J),
        "gamma_cate_1": np.full(J, 0.1),
        "gamma_store_0": np.array([-1.0]),
        "gamma_store_1": np.array([0.2]),
        "gamma_store_2": np.array([0.01]),
        "theta": np.array([0.0, 0.3, 0.4]),
        "gamma_prod_0": np.full(I, -2.0),
        "gamma_prod_1": rng.lognormal(-4, 0.05, (U, I)),
        "clip_percentile": np.array(99.0),
        "lowest_price": np.array(0.01),
        "base_price": 1 + rng.random(I),
        "a01": np.linspace(0.1, 0.4, I),
        "a11": np.linspace(0.5, 0.9, I),
        "discount_alpha_beta": np.array([25.0, 75.0]),
    }


ONE_WEEK = {
    "X": (U, I), "eps": (U, I), "discount": (I,), "coupon": (U,), "previous_visit": (U,),
    "previous_visit_probability": (U,), "marketing_feature": (), "price": (I,),
    "price_paid": (U, I), "utility_unclipped": (U, I), "utility": (U, I),
    "category_value": (U, J), "product_probability": (U, I), "category_probability": (U, J),
    "store_value": (U,), "visit_probability": (U,), "purchase_rate": (U, I),
    "elasticity_store": (U, I), "elasticity_category": (U, I), "elasticity_product": (U, I),
    "elasticity_quantity": (U, I), "elasticity_overall": (U, I),
}  # fmt: skip


def test_every_array_arrives_where_it_belongs(market):
    world = World.from_arrays(market)
    assert (world.n_customers, world.n_products, world.n_categories) == (U, I, J)
    for name in PAIRS:
        assert getattr(world, name).dtype == np.float32
        assert np.array_equal(getattr(world, name), market[name].astype(np.float32)), name
    for name in ("beta_u", "beta_i", "alpha_0", "base_price", "gamma_cate_0", "gamma_cate_1",
                 "theta", "gamma_prod_0", "category_sizes"):  # fmt: skip
        assert np.array_equal(getattr(world, name), market[name]), name
    assert np.array_equal(world.z, market["Z"])
    assert (world.c, world.alpha_1, world.lowest_price) == (-1.4, 1.5, 0.01)
    assert (world.gamma_store_0, world.gamma_store_1, world.gamma_store_2) == (-1.0, 0.2, 0.01)
    assert world.cap_reference.percentile == 99.0
    assert np.array_equal(world.promotion.a01, market["a01"])
    assert np.array_equal(world.promotion.a11, market["a11"])
    assert world.promotion.depth == Beta(25, 75)
    assert world.marketing == "discount"
    assert world.marketing_scale == I  # the number of products unless given
    assert (world.eps_loc, world.eps_scale) == (0.0, 0.1)
    assert world.feature_mean is None


def test_the_caller_keeps_his_arrays(market):
    world = World.from_arrays(market)
    before = world.beta_u.copy()
    market["beta_u"][:] = -9.0  # still writable, and not the world's
    assert np.array_equal(world.beta_u, before)


def test_optional_arrays_have_defaults(market):
    for name in ("base_price", "clip_percentile", "lowest_price", "a01", "a11",
                 "discount_alpha_beta"):  # fmt: skip
        del market[name]
    world = World.from_arrays(market)
    assert np.allclose(world.base_price, market["alpha_0"] + 1.5 * market["Z"], rtol=1e-14)
    assert world.promotion.depth is None
    assert world.cap_reference.cap(np.log(world.base_price)) == np.inf


def test_settings(market):
    world = World.from_arrays(
        market, name="mine", seed=4, marketing="coupon", marketing_scale=600, eps=(0.5, 0.2)
    )
    assert (world.name, world.seed, world.marketing) == ("mine", 4, "coupon")
    assert world.marketing_scale == 600.0
    assert (world.eps_loc, world.eps_scale) == (0.5, 0.2)


def test_the_cap_is_the_percentile_of_its_own_pairs(market):
    """With X, Z and eps as good as switched off the sample is beta_w log P, known by hand."""
    market["beta_x"][:] = 0.0
    market["Z"][:] = 0.0
    world = World.from_arrays(market, eps=(0.0, 1e-12))
    log_price = np.log(market["base_price"])
    utility = sorted(
        -1.4 * market["beta_u"][u] * market["beta_i"][i] * log_price[i]
        for u in range(U)
        for i in range(I)
    )
    place = 0.99 * (len(utility) - 1)  # linear interpolation between order statistics
    low = int(place)
    expected = utility[low] + (place - low) * (utility[low + 1] - utility[low])
    assert world.cap_reference.cap(log_price) == pytest.approx(expected, rel=1e-6)


def test_lasting_features_can_be_given(market):
    market["feature_mean"] = np.full((U, I), 0.5)
    market["feature_scale"] = np.full((U, I), 0.25)
    world = World.from_arrays(market)
    assert (world.feature_mean == 0.5).all()
    assert (world.feature_scale == 0.25).all()


def test_half_of_the_lasting_features_is_refused(market):
    """A mean without a scale would silently be ignored."""
    market["feature_mean"] = np.full((U, I), 0.5)
    with pytest.raises(ValueError, match="feature_scale"):
        World.from_arrays(market)


def test_one_week_arrays_of_equation_files_are_ignored(market):
    plain = World.from_arrays(market)
    extra = {name: np.full(shape, 0.25) for name, shape in ONE_WEEK.items()}
    world = World.from_arrays({**market, **extra})
    assert np.array_equal(world.base_price, plain.base_price)
    a, b = Simulator(world, 3), Simulator(plain, 3)
    for _ in range(5):
        ours, theirs = a.step(world.base_price), b.step(plain.base_price)
        assert np.array_equal(ours.lines.product, theirs.lines.product)


def test_a_world_of_arrays_can_be_simulated_saved_and_loaded(market, tmp_path):
    world = World.from_arrays(market)
    again = World.load(world.save(tmp_path / "w.npz"))
    a, b = Simulator(world, 1), Simulator(again, 1)
    for _ in range(20):
        ours, theirs = a.step(world.base_price), b.step(world.base_price)
        assert np.array_equal(ours.lines.quantity, theirs.lines.quantity)
    assert again.reward_scale == world.reward_scale > 0


@pytest.mark.parametrize("name", ["beta_x", "category_sizes", "Z", "theta", "gamma_store_2"])
def test_a_missing_array_is_named(market, name):
    del market[name]
    with pytest.raises(ValueError, match=f"missing arrays {name}"):
        World.from_arrays(market)


def test_an_unknown_array_is_named_with_the_valid_ones(market):
    with pytest.raises(ValueError, match="unknown arrays") as caught:
        World.from_arrays({**market, "beta_y": np.zeros(3), "gamma": 1.0})
    assert "unknown arrays beta_y, gamma" in str(caught.value)
    for name in market:
        assert name in str(caught.value).split("Valid names")[1]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("beta_x", (I, U)), ("beta_x", (U, I + 1)), ("beta_i", (I + 1,)), ("theta", ()),
     ("gamma_cate_0", (J + 1,)), ("alpha_1", (2,)), ("gamma_prod_1", (I,)),
     ("discount_alpha_beta", (3,)), ("a01", ()), ("base_price", (U, I))],
)  # fmt: skip
def test_a_wrong_shape_is_named(market, name, shape):
    market[name] = np.full(shape, 0.5)
    with pytest.raises(ValueError, match=f"{name} must have shape"):
        World.from_arrays(market)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["beta_x", "beta_u", "gamma_store_1", "a01", "base_price"])
def test_nan_and_infinity_are_named(market, name, bad):
    market[name] = np.array(market[name], dtype=float)
    market[name].flat[0] = bad
    with pytest.raises(ValueError, match=f"{name} holds NaN or infinite"):
        World.from_arrays(market)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("category_sizes", np.array([4, 0, 3]), "category_sizes"),
        ("category_sizes", np.array([4.5, 1, 1.5]), "category_sizes"),
        ("clip_percentile", 120.0, "clip_percentile"),
        ("a01", np.full(I, 1.5), "a01"),
        ("theta", np.array([0.0, 0.3, 1.0]), "theta"),
        ("base_price", np.zeros(I), "base_price"),
        ("lowest_price", -1.0, "lowest_price"),
    ],
)
def test_values_out_of_range_are_refused(market, name, value, words):
    market[name] = value
    with pytest.raises(ValueError, match=words):
        World.from_arrays(market)


def test_a_promotion_process_must_be_complete(market):
    del market["a11"]
    with pytest.raises(ValueError, match="a11"):
        World.from_arrays(market)


def test_an_unknown_marketing_names_the_choices(market):
    with pytest.raises(ValueError, match=r"noise, discount, coupon"):
        World.from_arrays(market, marketing="mail")
