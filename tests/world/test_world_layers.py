"""Layers as configuration and as drawn: files, hashes, laws and what depends on what."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

import retail_gym
from retail_gym import World
from retail_gym.config import stable_hash, to_plain, to_toml
from retail_gym.model.category_choice import category_value
from retail_gym.simulator import Simulator
from retail_gym.world.layer_draws import ARRAYS
from retail_gym.world.layered_catalog import normal_scores
from retail_gym.world.layers import (
    AssortmentLayer,
    AvailabilityLayer,
    BasketLayer,
    CatalogLayer,
    DispersionLayer,
    HabitLayer,
    Layers,
    QuantityLayer,
    VisitLayer,
)
from retail_gym.world.presets import load_config, shipped_reward_scale
from retail_gym.world.presets.complete_journey import config as complete_journey
from retail_gym.world.presets.complete_journey import product_counts, some_categories
from retail_gym.world.priors import (
    Beta,
    Laplace,
    Listed,
    LogitBeta,
    LogNormal,
    MinGumbel,
    Normal,
    ScaledBeta,
    as_prior,
)
from retail_gym.world.storage import config_from_json, config_from_mapping, config_to_json

ROOT = Path(__file__).parents[2]

ALL = Layers(
    catalog=CatalogLayer(
        MinGumbel(-1.0, 1.2), 0.6, 1.5, -0.05, 1.2, 0.5, 0.4, -0.4, -0.5,
    ),
    visit=VisitLayer(LogitBeta(1.5, 1.0), 0.8, 0.9, 0.3, 0.6),
    basket=BasketLayer(
        0.6, 0.5, 0.7, 0.3, 0.4, 1.5, 2, Laplace(0, 0.6), Normal(0, 0.4), 0.5, 0.3, True
    ),
    assortment=AssortmentLayer(Normal(-0.3, 0.5), 0.6, 0.3, 0.5),
    quantity=QuantityLayer(0.7, 0.6, Normal(-1.0, 0.3), 0.2, pairs=0.4),
    habit=HabitLayer(0.5, 3),
    availability=AvailabilityLayer(0.7, 2, 6, 9),
    dispersion=DispersionLayer(LogNormal(-2.0, 0.8), 0.5),
)  # fmt: skip


def test_presets_of_the_papers_have_no_layers_and_keep_their_hash_and_scale():
    for name in retail_gym.preset_names():
        config = load_config(name)
        assert (config.layers is None) == (name != "complete_journey")
        assert ("layers" in to_plain(config)) == (name == "complete_journey")
        assert shipped_reward_scale(config, 0) is not None, name
    assert retail_gym.make_world("tiny").layers is None


def test_documents_are_of_the_shipped_store():
    """Card, record and task page change with the store, in one go."""
    presets, docs = Path(retail_gym.__file__).parent / "world/presets", ROOT / "docs"
    record = json.loads((presets / "complete_journey.json").read_text(encoding="utf-8"))
    table = tomllib.loads((presets / "complete_journey.toml").read_text(encoding="utf-8"))
    assert record["config_hash"] == stable_hash(config_from_mapping(table))
    assert f"hash `{record['config_hash']}`" in (docs / "stores/complete_journey.md").read_text()
    scale = shipped_reward_scale(load_config("complete_journey"), 0)
    page = (docs / "tasks/RetailSynth-CompleteJourney-v0.md").read_text()
    assert f"R0 = ${scale:,.0f} a week" in page


def test_layers_are_part_of_the_hash():
    tiny = load_config("tiny")
    hashes = {
        stable_hash(tiny.override(layers=layers))
        for layers in (None, Layers(), Layers(habit=HabitLayer(0.5)), Layers(habit=HabitLayer(0.6)))
    }
    assert len(hashes) == 4


@pytest.mark.parametrize("layers", [ALL, Layers(), Layers(quantity=QuantityLayer())])
def test_layers_come_back_from_json_and_toml(layers):
    config = load_config("tiny").override(layers=layers)
    assert config_from_json(config_to_json(config)).layers == layers
    again = config_from_mapping(tomllib.loads(to_toml(config)))
    assert again.layers == layers
    assert stable_hash(again) == stable_hash(config)


def test_a_file_extends_a_preset_by_a_layer(tmp_path):
    path = tmp_path / "often.toml"
    path.write_text(
        'extends = "tiny"\n[layers.visit]\nintercept = { kind = "normal", mean = 0.5, sd = 1.0 }\n'
        "drift_sd = 0.4\n[layers.habit]\nrepeat = 0.3\n"
    )
    layers = retail_gym.make_world(path).layers.config
    assert layers == Layers(visit=VisitLayer(Normal(0.5, 1.0), 0.4), habit=HabitLayer(0.3))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HabitLayer(1.5), ["HabitLayer.repeat", "[0, 1]"]),
        (lambda: HabitLayer(0.5, 0), ["HabitLayer.memory", "at least 1"]),
        (lambda: VisitLayer(drift_memory=1.0), ["VisitLayer.drift_memory"]),
        (lambda: VisitLayer(intercept="often"), ["VisitLayer.intercept", "prior"]),
        (lambda: BasketLayer(something=1), ["BasketLayer.something", "true or false"]),
        (lambda: BasketLayer(size_sd=-1.0), ["BasketLayer.size_sd"]),
        (lambda: AvailabilityLayer(0.5, 5, 4), ["shortest <= longest"]),
        (lambda: AvailabilityLayer(0.5, 4, 60), ["longest <= cycle"]),
        (lambda: QuantityLayer(size=0.0), ["QuantityLayer.size"]),
        (lambda: QuantityLayer(price_weight=0.5), ["QuantityLayer", "price_weight", "log_rate"]),
        (lambda: CatalogLayer(0.0, price_reach=-1.0), ["CatalogLayer.price_reach"]),
        (lambda: Layers(visit=HabitLayer(0.5)), ["layer visit", "VisitLayer"]),
        (lambda: Layers(quantity=QuantityLayer(log_rate=0.0)), ["quantity", "CatalogLayer"]),
        (lambda: Layers(assortment=AssortmentLayer(0.0, 1, 0, 0.5)), ["assortment", "CatalogLayer"]),
        (lambda: Layers(habit={"repeet": 0.5}), ["repeet", "repeat, memory"]),
        (lambda: Layers(habit={"memory": 3}), ["layer habit", "repeat"]),
        (lambda: Layers.read({"habits": {}}), ["habits", "habit, availability"]),
        (lambda: Layers.read(3), ["Layers object", "3"]),
        (lambda: retail_gym.make_world("tiny", layers="all"), ["Layers object"]),
    ],
)  # fmt: skip
def test_a_wrong_layer_is_refused_where_it_is_given(make, words):
    with pytest.raises(ValueError, match=re.escape(words[0])) as caught:
        make()
    for word in words[1:]:
        assert word in str(caught.value)


def test_save_and_load_give_the_same_layers_and_weeks(tmp_path):
    world = retail_gym.make_world("tiny", 1, layers=ALL)
    again = World.load(world.save(tmp_path / "store.npz"))
    assert again.layers.config == ALL
    for name in ARRAYS:
        ours, theirs = getattr(again.layers, name), getattr(world.layers, name)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs), name
        assert not theirs.flags.writeable
        assert not ours.flags.writeable
    assert again.reward_scale == world.reward_scale
    a, b = Simulator(world, 11), Simulator(again, 11)
    for _ in range(8):
        ours, theirs = a.step(world.base_price), b.step(world.base_price)
        assert np.array_equal(ours.lines.product, theirs.lines.product)
        assert ours.revenue == theirs.revenue


def test_a_file_whose_layers_do_not_fit_is_refused(tmp_path):
    world = retail_gym.make_world("tiny", 1, layers=ALL)
    short = dataclasses.replace(world.layers, visit_u=np.zeros(4))
    path = dataclasses.replace(world, layers=short).save(tmp_path / "store.npz")
    with pytest.raises(ValueError, match="layer_visit_u"):
        World.load(path)


@pytest.fixture(scope="module")
def drawn():
    """A store of 20,000 customers with few products: laws are seen in its arrays."""
    return retail_gym.make_world("tiny", 2, layers=ALL, n_customers=20_000)


def test_customers_follow_their_laws(drawn):
    # Kolmogorov-Smirnov at 1e-4, three tests
    layers = drawn.layers
    assert stats.kstest(special.expit(layers.visit_u), stats.beta(1.5, 1.0).cdf).pvalue > 1e-4
    assert stats.kstest(layers.size_u / 0.6, "norm").pvalue > 1e-4
    odds = special.logit(layers.fill_in_u)
    assert stats.kstest((odds - special.logit(0.3)) / 0.4, "norm").pvalue > 1e-4
    # five standard errors
    assert layers.quantity_u.mean() == pytest.approx(1.0, abs=5 * 0.66 / np.sqrt(20_000))
    assert np.log(layers.quantity_u).std() == pytest.approx(0.6, abs=5 * 0.6 / np.sqrt(40_000))
    score = special.ndtri(stats.beta(1.5, 1.0).cdf(special.expit(layers.visit_u)))
    assert np.corrcoef(score, layers.size_u)[0, 1] == pytest.approx(0.5, abs=5 * 0.75 / 141)
    assert abs(np.corrcoef(layers.quantity_u, layers.size_u)[0, 1]) < 5 / 141


def test_tastes_tie_categories_together(drawn):
    effect = drawn.layers.household_uj.astype(np.float64)
    rest = effect - drawn.layers.size_u[:, None]
    assert (np.abs(np.corrcoef(rest.T)[np.triu_indices(3, 1)]) > 0.03).any()
    mean_odds = np.exp(rest).mean(axis=0)
    spread = np.exp(rest).std(axis=0) / np.sqrt(20_000)
    assert (np.abs(mean_odds - 1.0) < 5 * spread).all()


def big(**settings):
    sizes = tuple(int(n) for n in np.random.default_rng(0).geometric(0.02, 200))
    return load_config("tiny").override(
        layers=ALL, category_sizes=sizes, n_customers=2, gamma_cate_1=0.3, gamma_prod_1=0.1,
        **settings,
    )  # fmt: skip


@pytest.fixture(scope="module")
def catalogue():
    return retail_gym.make_world(big(), 0)


def average_utility(world, log_price):
    config = big()
    beta_w = config.c * float(config.prior("beta_u").quantile(0.5)) * world.beta_i
    return float(config.prior("beta_z").quantile(0.5)) * world.z + beta_w * log_price


def test_the_average_customer_finds_the_stated_appeal(catalogue):
    value = category_value(
        average_utility(catalogue, np.log(catalogue.base_price)), catalogue.category_sizes
    )
    appeal = catalogue.gamma_cate_0 + 0.3 * value - big().category_shift
    n = 200
    expected = ALL.catalog.appeal.quantile((np.arange(n) + 0.5) / n)  # stratified
    np.testing.assert_allclose(np.sort(appeal), expected, rtol=0, atol=1e-9)
    size = normal_scores(catalogue.category_sizes)
    got = np.corrcoef(normal_scores(appeal), size)[0, 1]
    assert got == pytest.approx(0.6, abs=4 * 0.64 / np.sqrt(n))
    rate = normal_scores(catalogue.layers.further_j)
    assert np.corrcoef(rate, normal_scores(appeal))[0, 1] == pytest.approx(
        0.5, abs=4 * 0.75 / np.sqrt(n)
    )


def test_popularity_and_prices_go_together(catalogue):
    log_price = np.log(catalogue.base_price)
    utility = average_utility(catalogue, log_price)
    n = utility.size
    score = normal_scores(utility)
    expected = 1.5 * (score - 0.05 * (score**2 - 1.0))
    np.testing.assert_allclose(utility - utility.mean(), expected - expected.mean(), atol=1e-9)
    assert log_price.mean() == pytest.approx(1.2, abs=1e-9)
    of_category = np.add.reduceat(log_price, catalogue.category_start) / catalogue.category_sizes
    assert of_category.std() == pytest.approx(0.5, abs=0.05)
    within = np.repeat(of_category, catalogue.category_sizes)
    alone = np.corrcoef(log_price - within, utility)[0, 1]
    assert alone == pytest.approx(-0.5, abs=0.05 + 4 / np.sqrt(n))
    assert (catalogue.z >= 0.0).all()
    np.testing.assert_allclose(
        catalogue.alpha_0 + catalogue.alpha_1 * catalogue.z, catalogue.base_price
    )


def test_quantities_are_centred_at_the_average_customer_and_base_prices(catalogue):
    utility = average_utility(catalogue, np.log(catalogue.base_price))
    log_rate = catalogue.gamma_prod_0 + 0.1 * utility
    by_category = log_rate[catalogue.category_start]
    np.testing.assert_allclose(
        log_rate, np.repeat(by_category, catalogue.category_sizes), atol=1e-9
    )
    expected = ALL.quantity.log_rate.quantile((np.arange(200) + 0.5) / 200)
    np.testing.assert_allclose(np.sort(by_category), expected, atol=1e-9)


def test_of_dear_products_fewer_are_bought_at_a_time():
    def store(**quantity):
        layers = Layers(
            catalog=CatalogLayer(0.0, log_price=Listed((0.5, 2.0)), price_product_sd=0.8),
            quantity=QuantityLayer(log_rate=Listed((-1.0, 0.5)), **quantity),
        )
        return retail_gym.make_world("tiny", 4, layers=layers, category_sizes=(40, 60))

    plain, weighted = store(), store(price_weight=0.7)
    np.testing.assert_array_equal(plain.base_price, weighted.base_price)
    above = np.log(plain.base_price) - np.repeat([0.5, 2.0], [40, 60])
    assert above.std() > 0.5
    gap = plain.gamma_prod_0 - weighted.gamma_prod_0
    np.testing.assert_allclose(gap, 0.7 * above, atol=1e-9)


def test_no_price_is_out_of_reach():
    def log_prices(**catalog):
        layers = Layers(catalog=CatalogLayer(0.0, price_product_sd=Listed((0.8, 0.1)), **catalog))
        world = retail_gym.make_world("tiny", 4, layers=layers, category_sizes=(400, 400))
        return np.log(world.base_price).reshape(2, 400)

    free = log_prices(log_price=Listed((1.0, 2.0)))
    near = log_prices(log_price=Listed((1.0, 2.0)), price_reach=0.9)
    assert np.abs(free[0] - 1.0).max() > 2.0
    np.testing.assert_allclose(near, np.clip(free, [[0.1], [1.1]], [[1.9], [2.9]]), atol=1e-9)


def test_prices_still_act_through_utilities(catalogue):
    # half the price: utilities of the average customer rise by |beta_w| log 2
    before = average_utility(catalogue, np.log(catalogue.base_price))
    after = average_utility(catalogue, np.log(0.5 * catalogue.base_price))
    assert (after > before).all()


def test_every_category_has_a_product_on_every_shelf(catalogue):
    from retail_gym.world.trip import offered

    shares = []
    for week in range(1, 19):
        shelf = offered(catalogue, week)
        assert np.add.reduceat(shelf, catalogue.category_start).min() >= 1
        shares.append(shelf.mean())
    weeks = catalogue.layers.window_weeks_i
    seasonal = weeks < 9
    assert seasonal.mean() == pytest.approx(0.7 * (1 - 200 / weeks.size), abs=0.03)
    assert set(weeks[seasonal].tolist()) == {2, 3, 4, 5, 6}
    # on average over a cycle exactly the share of weeks in the window
    assert np.mean(shares[:9]) == pytest.approx((weeks / 9).mean(), rel=1e-12)


def test_a_catalogue_needs_a_quality_that_counts():
    with pytest.raises(ValueError, match="beta_z"):
        retail_gym.make_world("tiny", layers=ALL, beta_z=0.0)


def test_new_priors_by_their_laws():
    u = (np.arange(1, 200)) / 200
    for prior, law in (
        (MinGumbel(0.5, 2.0), stats.gumbel_l(0.5, 2.0)),
        (Laplace(0.5, 2.0), stats.laplace(0.5, np.sqrt(2.0))),
        (ScaledBeta(0.7, 0.3, -2.0, 1.0), stats.beta(0.7, 0.3, -2.0, 3.0)),
    ):
        np.testing.assert_allclose(prior.quantile(u), law.ppf(u), rtol=1e-12, atol=1e-12)
    expected = special.logit(stats.beta(1.1, 0.9).ppf(u))
    np.testing.assert_allclose(LogitBeta(1.1, 0.9).quantile(u), expected, rtol=1e-9, atol=1e-9)
    far = LogitBeta(0.5, 0.5).quantile([2.0**-33, 1 - 2.0**-33])
    assert np.isfinite(far).all()
    assert far[0] == pytest.approx(-far[1], rel=1e-6)


def test_the_preset_of_the_complete_journey_is_a_store():
    config = complete_journey()
    assert stable_hash(load_config("complete_journey")) == stable_hash(config)
    assert len(config.category_sizes) == 302
    assert config.n_products == 32_329
    assert config.category_sizes == tuple(product_counts().values())
    assert config_from_json(config_to_json(config)).layers == config.layers
    few = some_categories(config, range(0, 302, 30)).override(n_customers=20, category_shift=1.0)
    assert few.category_sizes == config.category_sizes[::30]
    loading = few.layers.basket.taste_loading[0].values
    assert loading == config.layers.basket.taste_loading[0].values[::30]
    world = retail_gym.make_world(few, 0)
    simulator = Simulator(world, 1)
    outcomes = [simulator.step(world.base_price) for _ in range(6)]
    assert sum(outcome.units for outcome in outcomes) > 50
    assert isinstance(world.promotion.depth, Beta)


def test_estimates_by_category_take_the_place_of_laws():
    appeal, rate = (0.5, -1.0, 0.2), (-2.0, -1.5, -0.5)
    loadings = (Listed((1.0, 1.0, 0.0)), Listed((0.0, -0.5, 2.0)))
    layers = Layers(
        catalog=CatalogLayer(Listed(appeal), popularity_sd=0.7),
        basket=BasketLayer(factors=2, taste_loading=loadings, trip_loading=loadings),
        assortment=AssortmentLayer(Listed(rate)),
        quantity=QuantityLayer(log_rate=Listed(rate)),
    )
    config = load_config("tiny").override(layers=layers, n_customers=4_000)
    world = retail_gym.make_world(config, 0)
    assert config_from_json(config_to_json(config)).layers == layers
    log_price = np.log(world.base_price)
    beta_w = config.c * float(config.prior("beta_u").quantile(0.5)) * world.beta_i
    utility = float(config.prior("beta_z").quantile(0.5)) * world.z + beta_w * log_price
    value = category_value(utility, world.category_sizes)
    found = world.gamma_cate_0 - config.category_shift + world.gamma_cate_1 * value
    np.testing.assert_allclose(found, appeal, atol=1e-9)
    np.testing.assert_allclose(world.layers.further_j, np.exp(rate), rtol=1e-12)
    expected = np.array([law.values for law in loadings]).T
    assert np.array_equal(world.layers.trip_loading_jk, expected)
    # the tastes' covariance is that of the loadings; five standard errors of a variance of 4
    covariance = np.cov(world.layers.household_uj.T.astype(np.float64))
    np.testing.assert_allclose(covariance, expected @ expected.T, atol=5 * 4 * np.sqrt(2 / 4_000))


def test_affinities_and_price_levels_by_category():
    affinity, level = (0.2, 0.7, 1.5), (0.5, 1.5, -0.5)
    layers = Layers(
        catalog=CatalogLayer(0.0, log_price=Listed(level), price_product_sd=0.2),
        basket=BasketLayer(affinity_sd=Listed(affinity)),
    )
    world = retail_gym.make_world(
        "tiny", layers=layers, n_customers=4_000, category_sizes=(200, 150, 250)
    )
    # five standard errors of a standard deviation
    found = world.layers.household_uj.std(axis=0)
    np.testing.assert_allclose(found, affinity, rtol=5 / np.sqrt(2 * 4_000))
    means = np.add.reduceat(world.log_base_price, world.category_start) / world.category_sizes
    np.testing.assert_allclose(means, level, atol=5 * 0.2 / np.sqrt(150))
    with pytest.raises(ValueError, match="affinity_sd must be at least 0"):
        BasketLayer(affinity_sd=-0.1)


def test_a_memory_has_room_for_large_categories_only_up_to_a_limit():
    with pytest.raises(ValueError, match="32,767"):
        retail_gym.make_world(
            "tiny", layers=Layers(habit=HabitLayer(0.5)), category_sizes=(40_000,), n_customers=1
        )


def test_a_list_must_fit():
    with pytest.raises(ValueError, match="appeal lists 2 values for 3"):
        retail_gym.make_world("tiny", layers=Layers(catalog=CatalogLayer(Listed((0.0, 1.0)))))
    with pytest.raises(ValueError, match="taste_loading has 1 laws for 2"):
        BasketLayer(factors=2, taste_loading=(0.0,))
    with pytest.raises(ValueError, match="at least one"):
        Listed(())
    assert as_prior("x", {"kind": "listed", "values": [3, 1, 2]}) == Listed((3.0, 1.0, 2.0))
    assert Listed((3.0, 1.0, 2.0)).quantile([0.1, 0.5, 0.9]).tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("named", ["paper", "quantity", "basket", "availability", "all of these"])
def test_expected_visits_are_the_mean_of_simulated_ones(named):
    """Week 1, in which everybody comes: 30 episodes of 300 customers, four standard errors."""
    from retail_gym.world.expectation import expected_visit

    # what the expectation leaves out: further products, habits, and trips without a purchase
    parts = {
        "quantity": dataclasses.replace(ALL.quantity, log_rate=None, appeal_correlation=0.0),
        "basket": dataclasses.replace(ALL.basket, something=False),
        "availability": ALL.availability,
    }
    chosen = {} if named == "paper" else parts if named not in parts else {named: parts[named]}
    layers = Layers(**chosen) if chosen else None
    world = retail_gym.make_world("tiny", 4, n_customers=300, layers=layers)
    price, gaps = 0.8 * world.base_price, []
    for key in range(30):
        outcome = Simulator(world, key).step(price)
        visit = expected_visit(world, price, seed=key, week=1)
        gaps.append(outcome.revenue - float((visit.category_probability * visit.revenue).sum()))
    gaps = np.array(gaps)
    assert abs(gaps.mean()) < 4 * gaps.std(ddof=1) / np.sqrt(30)
    assert gaps.std() < outcome.revenue  # a mean of something


def test_further_products_are_expected_nearly_in_full():
    from retail_gym.world.expectation import expected_visit

    layers = Layers(assortment=AssortmentLayer(-1.5, 0.6))
    world = retail_gym.make_world(
        "tiny", 4, n_customers=300, layers=layers, category_sizes=(30, 20)
    )
    real = expected = 0.0
    for key in range(30):
        real += Simulator(world, key).step(world.base_price).units
        visit = expected_visit(world, world.base_price, seed=key, week=1)
        expected += float((visit.category_probability * visit.units).sum())
    assert real == pytest.approx(expected, rel=0.03)


def dispersed(dispersion, n_customers=60, key=7, **options):
    layers = dataclasses.replace(ALL, dispersion=dispersion)
    world = retail_gym.make_world("tiny", 4, n_customers=n_customers, layers=layers)
    simulator = Simulator(world, key, **options)
    return world, [simulator.step(0.9 * world.base_price) for _ in range(8)]


@pytest.mark.parametrize("kernel", ["reference", "numba"])
def test_dispersion_moves_what_is_paid_and_nothing_else(kernel):
    _, plain = dispersed(None, kernel=kernel)
    world, found = dispersed(DispersionLayer(LogNormal(-2.0, 0.8), 0.5), kernel=kernel)
    shelf = 0.9 * world.base_price
    factors = set()
    for one, other in zip(plain, found, strict=True):
        for column in ("customer", "product", "quantity"):
            np.testing.assert_array_equal(getattr(one.lines, column), getattr(other.lines, column))
        product = other.lines.product
        factor = other.unit_price / shelf[product]
        np.testing.assert_allclose(other.base_price / world.base_price[product], factor, rtol=1e-12)
        np.testing.assert_allclose(other.line_discount, one.line_discount, rtol=0, atol=1e-12)
        # one factor for a product and week, whoever buys it
        pairs = {(int(i), round(float(f), 9)) for i, f in zip(product, factor, strict=True)}
        assert len(pairs) == len(set(product.tolist()))
        factors |= {f for _, f in pairs}
    assert len(factors) > 10
    _, again = dispersed(world.layers.config.dispersion, n_customers=61, kernel=kernel)
    both = [week.lines.customer < 60 for week in again]
    for week, rows, other in zip(again, both, found, strict=True):
        np.testing.assert_array_equal(week.unit_price[rows], other.unit_price)


def test_dispersion_has_its_law():
    layers = Layers(dispersion=DispersionLayer(LogNormal(-2.0, 0.8), 0.3))
    world = retail_gym.make_world(
        "tiny",
        4,
        n_customers=400,
        layers=layers,
        category_sizes=(60, 60),
        category_shift=6.0,
        gamma_store_0=4.0,
    )
    sd = world.layers.dispersion_i
    u = (np.arange(20_000) + 0.5) / 20_000
    expected = np.minimum(LogNormal(-2.0, 0.8).quantile(u), 0.3)
    assert stats.ks_2samp(sd, expected).pvalue > 1e-3
    assert sd.max() == 0.3
    simulator, scores = Simulator(world, 3), []
    for _ in range(90):
        week = simulator.step(world.base_price)
        product, first = np.unique(week.lines.product, return_index=True)
        factor = week.unit_price[first] / world.base_price[product]
        scores.append((np.log(factor) + 0.5 * sd[product] ** 2) / sd[product])
    scores = np.concatenate(scores)
    assert scores.size > 2_000
    assert stats.kstest(scores, "norm").pvalue > 1e-3  # the byte-sum law: distance 0.0017


def test_products_that_sell_well_have_usual_prices():
    layers = Layers(catalog=CatalogLayer(0.0, price_product_sd=0.5, price_narrowing=0.4))
    world = retail_gym.make_world(
        "tiny", 4, n_customers=2, layers=layers, category_sizes=(2_000,), beta_z=1.0, c=0.0
    )
    score, log_price = normal_scores(world.z), np.log(world.base_price)
    gap = (log_price - log_price.mean()) * np.exp(0.4 * score)
    often, seldom = gap[score > 0.5].std(), gap[score < -0.5].std()
    np.testing.assert_allclose([often, seldom], 0.5, rtol=0.08)


def test_leads_by_category_and_skewed_prices():
    sizes = (400, 400)
    layers = Layers(
        catalog=CatalogLayer(
            0.0, popularity_lead=Listed((0.0, 0.3)), price_product_sd=0.4, price_product_skew=0.2
        )
    )
    world = retail_gym.make_world(
        "tiny", 4, n_customers=2, layers=layers, category_sizes=sizes, beta_z=1.0, c=0.0
    )
    # Price does not count: z is popularity, up to a constant, at scores stratified over both.
    shape = np.sort(world.z[:400]) - np.median(world.z)
    top = np.sort(world.z[400:])[-4:] - np.median(world.z)
    assert shape[-4:].mean() == pytest.approx(2.6, abs=0.5)
    assert top.mean() > shape[-4:].mean() + 0.3 * 2.0**2
    log_price = np.log(world.base_price)
    price = (log_price - log_price.mean()) / 0.4
    # n + 0.2 (n^2 - 1): mean 0, third moment 6 s + 8 s^3
    assert stats.moment(price, 3) == pytest.approx(6 * 0.2 + 8 * 0.2**3, rel=0.15)
