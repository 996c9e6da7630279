"""Overrides by keyword and configurations in TOML files."""

from __future__ import annotations

import re
from dataclasses import fields

import numpy as np
import pytest

import retail_gym
from retail_gym.config import stable_hash, to_plain, to_toml
from retail_gym.world import PromotionPlan, StoreConfig
from retail_gym.world.presets import load_config
from retail_gym.world.priors import Beta, Constant, Gumbel, Normal, Uniform


def test_a_number_where_a_prior_stands_is_a_constant():
    world = retail_gym.make_world(
        "tiny", 0, gamma_store_1=0.1, beta_u=-2, beta_x=0.5, alpha_0=np.float32(1.5), theta=0.3
    )
    assert world.gamma_store_1 == 0.1
    assert (world.beta_u == -2.0).all()
    assert (world.beta_x == 0.5).all()
    assert (world.alpha_0 == 1.5).all()
    assert (world.theta == 0.3).all()


def test_a_prior_replaces_a_prior_and_leaves_the_others_alone(tiny_world):
    world = retail_gym.make_world("tiny", 0, beta_u=Uniform(-7.0, -6.0))
    assert ((world.beta_u > -7) & (world.beta_u < -6)).all()
    assert np.unique(world.beta_u).size == 5
    assert np.array_equal(world.beta_x, tiny_world.beta_x)
    assert np.array_equal(world.beta_i, tiny_world.beta_i)


def test_other_fields_can_be_overridden(tiny_world):
    world = retail_gym.make_world("tiny", 0, n_customers=7, category_shift=5.0, c=-1.0)
    assert world.n_customers == 7
    assert world.c == -1.0
    assert np.allclose(world.gamma_cate_0, tiny_world.gamma_cate_0 + 1.0, rtol=0, atol=1e-12)
    plan = PromotionPlan(0.2, 0.7, Beta(2, 8))
    assert retail_gym.make_world("tiny", promotion=plan).promotion.effective_discount == (
        pytest.approx(0.2 / 0.5 * 0.2)
    )


def test_an_unknown_override_names_the_closest_and_all_valid_ones():
    with pytest.raises(TypeError) as caught:
        retail_gym.make_world("tiny", 0, gama_store_1=0.1)
    message = str(caught.value)
    assert "'gama_store_1'" in message
    assert "Did you mean 'gamma_store_1'?" in message
    for item in fields(StoreConfig):
        assert item.name in message


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"n_customers": 0}, ["n_customers", "at least 1"]),
        ({"n_customers": -3}, ["n_customers", "at least 1"]),
        ({"n_customers": 2.5}, ["n_customers", "whole number"]),
        ({"n_customers": True}, ["n_customers", "whole number"]),
        ({"category_sizes": ()}, ["category_sizes"]),
        ({"category_sizes": (3, 0)}, ["category_sizes", "at least 1"]),
        ({"category_sizes": (3, -1)}, ["category_sizes", "at least 1"]),
        ({"theta": 1.0}, ["theta", "[0, 1)"]),
        ({"theta": Uniform(-0.1, 0.5)}, ["theta", "[0, 1)"]),
        ({"c": float("nan")}, ["c "]),
        ({"lowest_price": 0.0}, ["lowest_price"]),
        ({"lowest_price": -1.0}, ["lowest_price"]),
        ({"clip_percentile": 101}, ["clip_percentile", "[0, 100]"]),
        ({"marketing_scale": -1}, ["marketing_scale"]),
        ({"marketing": "discounts"}, ["marketing", "noise", "discount", "coupon"]),
        ({"features": "fresh"}, ["features", "resampled", "persistent"]),
        ({"quality_scope": "store"}, ["quality_scope", "product", "category"]),
        ({"beta_x": "wide"}, ["beta_x", "prior"]),
        ({"beta_x": float("nan")}, ["NaN|nan|finite"]),
        ({"beta_x": None}, ["beta_x"]),
        ({"eps": 0.1}, ["eps", "Gumbel"]),
        ({"eps": Normal(0, 1)}, ["eps", "Gumbel"]),
        ({"promotion": 0.3}, ["promotion", "PromotionPlan"]),
    ],
)
def test_a_bad_value_is_refused_naming_the_field(overrides, words):
    with pytest.raises(ValueError, match=words[0]) as caught:
        retail_gym.make_world("tiny", 0, **overrides)
    for word in words[1:]:
        assert word in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 0.5, "zero", 2**63, None])
def test_a_bad_seed_is_refused(seed):
    with pytest.raises(ValueError, match="world seed"):
        retail_gym.make_world("tiny", seed)


def test_a_large_seed_is_kept_to_the_last_digit():
    """Seeds go up to 2**63 - 1; a detour over floats would merge those beyond 2**53."""
    one, other = (retail_gym.make_world("tiny", seed) for seed in (2**53, 2**53 + 1))
    assert (one.seed, other.seed) == (2**53, 2**53 + 1)
    assert not np.array_equal(one.beta_x, other.beta_x)
    assert retail_gym.make_world("tiny", 2**63 - 1).seed == 2**63 - 1


def test_an_unknown_preset_names_all_and_the_closest():
    with pytest.raises(ValueError, match="unknown preset 'scenaro'") as caught:
        retail_gym.make_world("scenaro")
    for name in retail_gym.preset_names():
        assert name in str(caught.value)
    assert "Did you mean 'scenario'?" in str(caught.value)


def test_a_world_is_returned_as_it_is_and_cannot_be_overridden(tiny_world):
    assert retail_gym.make_world(tiny_world) is tiny_world
    with pytest.raises(TypeError, match="n_customers cannot be overridden"):
        retail_gym.make_world(tiny_world, n_customers=3)


def test_a_configuration_is_accepted(tiny_world):
    world = retail_gym.make_world(load_config("tiny"), 0)
    assert np.array_equal(world.beta_x, tiny_world.beta_x)


def test_a_configuration_hashes_by_content():
    assert stable_hash(load_config("tiny")) == stable_hash(load_config("tiny"))
    assert stable_hash(load_config("tiny")) != stable_hash(load_config("small"))
    changed = load_config("tiny").override(c=-1.41)
    assert stable_hash(changed) != stable_hash(load_config("tiny"))


# --- TOML ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tiny", "coupon_driven", "scenario_prior", "calibrated"])
def test_a_configuration_survives_a_toml_file(tmp_path, name):
    config = load_config(name)
    file = tmp_path / "x.toml"
    file.write_text(to_toml(config), encoding="utf-8")
    assert to_plain(load_config(file)) == to_plain(config)


@pytest.mark.parametrize("name", ["tiny", "coupon_driven"])
def test_a_world_of_a_toml_file_is_the_presets(tmp_path, name):
    file = tmp_path / "x.toml"
    file.write_text(to_toml(load_config(name)), encoding="utf-8")
    ours, theirs = retail_gym.make_world(file, 2), retail_gym.make_world(name, 2)
    for field in ("beta_x", "beta_u", "base_price", "gamma_cate_0", "theta"):
        assert np.array_equal(getattr(ours, field), getattr(theirs, field)), field
    assert to_plain(ours.promotion) == to_plain(theirs.promotion)
    assert ours.reward_scale == theirs.reward_scale


def test_toml_keeps_plans_with_one_probability_per_product(tmp_path):
    plan = PromotionPlan([0.1] * 9, [0.5] * 9, 0.2)
    file = tmp_path / "plan.toml"
    file.write_text(to_toml(load_config("tiny").override(promotion=plan)), encoding="utf-8")
    loaded = load_config(file).promotion
    assert loaded.a01.tolist() == [0.1] * 9
    assert loaded.a11.tolist() == [0.5] * 9
    assert loaded.depth == 0.2


def test_extends_takes_the_rest_from_a_preset(tmp_path, tiny_world):
    file = tmp_path / "corner_shop.toml"
    file.write_text(
        'extends = "tiny"\nn_customers = 3\ngamma_store_1 = 0.05\n'
        'beta_u = { kind = "uniform", low = -4.0, high = -2.0 }\n'
        "promotion = { a01 = 0.1, a11 = 0.5, depth = "
        '{ kind = "beta", a = 2.0, b = 8.0 } }\n',
        encoding="utf-8",
    )
    world = retail_gym.make_world(str(file), 0)
    assert world.name == "corner_shop"
    assert world.n_customers == 3
    assert world.gamma_store_1 == 0.05
    assert ((world.beta_u >= -4) & (world.beta_u <= -2)).all()
    assert world.promotion.mean_depth == pytest.approx(0.2)
    assert np.array_equal(world.beta_x, tiny_world.beta_x[:3])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('extends = "tyny"\n', ["tyny", "tiny"]),
        ('extends = "tiny"\ngama_store_1 = 1.0\n', ["gama_store_1", "gamma_store_1"]),
        ('extends = "tiny"\nn_customers = -1\n', ["n_customers"]),
        ('extends = "tiny"\nbeta_x = { kind = "cauchy" }\n', ["cauchy", "lognormal"]),
        ('extends = "tiny"\nbeta_x = { kind = "normal", mu = 1.0 }\n', ["mean", "sd"]),
        ("n_customers = 3\n", ["incomplete|missing"]),
        ("n_customers = \n", ["TOML"]),
        ("customers = 3\n", ["customers", "n_customers"]),
    ],
)
def test_a_bad_file_is_refused_naming_it(tmp_path, text, words):
    file = tmp_path / "bad.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.toml") as caught:
        retail_gym.make_world(file)
    for word in words:
        assert re.search(word, str(caught.value)), caught.value


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.toml"):
        retail_gym.make_world(tmp_path / "nowhere.toml")


def test_priors_given_as_tables_become_priors():
    config = load_config("tiny").override(theta={"kind": "uniform", "low": 0.1, "high": 0.2})
    assert config.theta == Uniform(0.1, 0.2)
    assert config.override(theta=0).theta == Constant(0.0)
    assert config.override(eps={"kind": "gumbel", "loc": 0, "scale": 0.2}).eps == Gumbel(0, 0.2)
