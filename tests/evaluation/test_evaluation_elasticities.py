"""Expected demand against finite differences of itself and against simulated weeks."""

from __future__ import annotations

import numpy as np
import pytest

from retail_gym import Simulator, make_world
from retail_gym.evaluation.elasticities import expected_demand

H = 1e-5  # of log price: the difference errs by H^2 and by 1e-16 / H
TOLERANCE = 2e-8

CALIBRATED = {"preset": "calibrated", "category_sizes": (5, 1, 4), "n_customers": 6}
STORES = {
    "tiny": {"preset": "tiny"},
    "tiny without cap": {"preset": "tiny", "clip_percentile": 100.0},
    "tiny, half of it capped": {"preset": "tiny", "clip_percentile": 50.0},
    # A feature of the size it has at 26,176 products, so that the store term is no rounding.
    "inertia": {
        "preset": "tiny", "theta": 0.4, "gamma_store_2": 2.0, "marketing_scale": 9.0,
        "gamma_store_0": -1.0,
    },
    "inertia, cap, other scale": {
        "preset": "tiny", "theta": {"kind": "uniform", "low": 0.25, "high": 0.45},
        "gamma_store_2": 0.5, "marketing_scale": 100.0, "clip_percentile": 60.0,
    },
    "calibrated": CALIBRATED,
    "calibrated, discounts as marketing": CALIBRATED
    | {"marketing": "discount", "gamma_store_2": 0.3, "marketing_scale": 10.0},
    "calibrated, coupons as marketing": CALIBRATED
    | {"marketing": "coupon", "gamma_store_2": 0.3, "marketing_scale": 10.0},
    "persistent features": CALIBRATED | {"features": "persistent"},
}  # fmt: skip


def make(name: str):
    """The store, a price vector off the base, and memory of a first week."""
    settings = dict(STORES[name])
    world = make_world(settings.pop("preset"), 1, **settings)
    discount = np.random.default_rng(0).uniform(0.0, 0.5, world.n_products)
    discount[::3] = 0.0
    simulator = Simulator(world, 5)
    simulator.step(world.base_price)
    return world, world.base_price * (1.0 - discount), simulator.memory


@pytest.fixture(params=STORES)
def store(request):
    return make(request.param)


def differences(world, price, memory, **kw):
    """Central difference of log quantity and log visit probability in each log price, (B, I)."""
    cap = world.cap_reference.cap(np.log(price))
    quantity, visit = [], []
    for i in range(world.n_products):
        pair = []
        for sign in (1.0, -1.0):
            changed = price.copy()
            changed[i] *= np.exp(sign * H)
            pair.append(expected_demand(world, changed, memory, seed=5, cap=cap, **kw))
        quantity.append((np.log(pair[0].quantity[:, i]) - np.log(pair[1].quantity[:, i])) / (2 * H))
        visit.append(
            (np.log(pair[0].visit_probability) - np.log(pair[1].visit_probability)) / (2 * H)
        )
    return np.stack(quantity, axis=1), np.stack(visit, axis=1)


def test_closed_form_equals_finite_differences(store) -> None:
    world, price, memory = store
    demand = expected_demand(world, price, memory, seed=5)
    quantity, visit = differences(world, price, memory)
    assert np.abs(quantity - demand.overall).max() < TOLERANCE
    assert np.abs(visit - demand.store).max() < TOLERANCE
    assert demand.overall.shape == (world.n_customers, world.n_products)
    assert (demand.overall <= 0.0).all()
    assert demand.overall.min() < -0.5


def test_overall_is_the_sum_of_the_stages(store) -> None:
    world, price, memory = store
    d = expected_demand(world, price, memory, seed=5)
    assert d.overall == pytest.approx(d.store + d.category + d.product + d.units, abs=1e-15)


def test_capped_products_move_through_the_store_alone() -> None:
    world, price, memory = make("inertia, cap, other scale")
    d = expected_demand(world, price, memory, seed=5)
    assert 0.1 < d.capped.mean() < 0.9
    for term in (d.category, d.product, d.units):
        assert (term[d.capped] == 0.0).all()
        assert (term[~d.capped] < 0.0).all()
    assert (d.store < 0.0).all()
    assert np.array_equal(d.overall[d.capped], d.store[d.capped])


def test_store_without_cap_has_no_capped_product() -> None:
    world, price, memory = make("tiny without cap")
    assert not expected_demand(world, price, memory, seed=5).capped.any()


def test_cap_given_is_the_cap_used() -> None:
    world, price, memory = make("tiny")
    at_store, none, all_capped = (
        expected_demand(world, price, memory, seed=5, cap=cap)
        for cap in (world.cap_reference.cap(np.log(price)), np.inf, -100.0)
    )
    own = expected_demand(world, price, memory, seed=5)
    assert np.array_equal(own.overall, at_store.overall)
    assert not none.capped.any()
    assert all_capped.capped.all()
    # Equal utilities: every product of a category is as likely as the other.
    lone = all_capped.quantity[:, :4]
    assert lone[:, 1:] / lone[:, :1] == pytest.approx(
        np.ones((5, 3)), rel=0.2
    )  # up to the baseline rate of quantity


def test_product_alone_in_its_category_has_no_product_term() -> None:
    world, price, memory = make("calibrated")
    d = expected_demand(world, price, memory, seed=5)
    assert (d.product[:, 5] == 0.0).all()
    assert (np.delete(d.product, 5, axis=1) < 0.0).all()


@pytest.mark.parametrize(
    ("name", "moves"),
    [
        ("calibrated", False),
        ("calibrated, discounts as marketing", True),
        ("calibrated, coupons as marketing", True),
    ],
)
def test_store_term_is_zero_under_random_marketing(name: str, moves: bool) -> None:
    world, price, memory = make(name)
    demand = expected_demand(world, price, memory, seed=5)
    assert (demand.store < 0.0).all() if moves else (demand.store == 0.0).all()


def test_customers_chosen_are_rows_of_everybody() -> None:
    world, price, memory = make("inertia")
    everybody = expected_demand(world, price, memory, seed=5)
    some = expected_demand(world, price, memory, seed=5, customers=[3, 0])
    for name in ("quantity", "visit_probability", "store", "category", "product", "units",
                 "overall", "capped"):  # fmt: skip
        expected = getattr(everybody, name)[[3, 0]]
        assert getattr(some, name) == pytest.approx(expected, rel=1e-12), name


def test_seed_and_week_are_the_noise() -> None:
    world, price, memory = make("tiny")
    one = expected_demand(world, price, memory, seed=5, week=2)
    assert np.array_equal(one.quantity, expected_demand(world, price, memory, seed=5).quantity)
    for other in ({"seed": 6}, {"seed": 5, "week": 3}):
        changed = expected_demand(world, price, memory, **other)
        assert not np.allclose(changed.quantity, one.quantity)


@pytest.mark.parametrize("name", ["tiny", "inertia, cap, other scale", "calibrated"])
def test_expected_units_are_the_mean_of_simulated_weeks(name: str) -> None:
    # Given week 1 and week 2's noise, units minus their expectation has mean 0. At 4 standard
    # errors over at most 18 sums, a false alarm has probability 18 x 6e-5 = 1e-3.
    world, price, _ = make(name)
    gaps, expectations = [], []
    for key in range(700):
        simulator = Simulator(world, key)
        simulator.step(world.base_price)
        memory = simulator.memory
        expected = expected_demand(world, price, memory, seed=key, week=2)
        outcome = simulator.step(price)
        units = np.zeros((world.n_customers, world.n_products))
        np.add.at(units, (outcome.lines.customer, outcome.lines.product), outcome.lines.quantity)
        visits = (outcome.visited - expected.visit_probability).sum()
        gap = units - expected.quantity
        gaps.append([visits, gap.sum(), *gap.sum(axis=0), *gap.sum(axis=1)])
        total = expected.quantity
        expectations.append([100.0, total.sum(), *total.sum(axis=0), *total.sum(axis=1)])
    often = np.sum(expectations, axis=0) > 25.0  # enough for the normal law
    assert often.sum() >= 5
    gap = np.array(gaps)[:, often]
    error = gap.std(axis=0, ddof=1) / np.sqrt(len(gap))
    assert np.abs(gap.mean(axis=0) / error).max() < 4.0
    # A tenth more would be noticed.
    assert (0.1 * np.mean(expectations, axis=0)[often] / error).max() > 4.0


def test_everybody_visits_in_week_1() -> None:
    # Eq. 10: so the demand of week 1 is that of a visit, and no price moves the visit.
    world, price, _ = make("inertia")
    memory = Simulator(world, 5).memory
    demand = expected_demand(world, price, memory, seed=5, week=1)
    assert (demand.visit_probability == 1.0).all()
    assert (demand.store == 0.0).all()
