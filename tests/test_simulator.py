"""The simulator: a function of world, episode key and prices; the state between weeks."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

import retail_gym
from retail_gym import World
from retail_gym.simulator import Simulator
from retail_gym.world.priors import Uniform

LINES = ("customer", "category", "product", "quantity")


def prices_of(world, weeks, seed=0):
    off = 0.5 * np.random.default_rng(seed).random((weeks, world.n_products))
    return (1 - off) * world.base_price


def assert_same(a, b):
    for name in LINES:
        assert np.array_equal(getattr(a.lines, name), getattr(b.lines, name)), name
    for name in ("unit_price", "base_price", "visited", "last_purchase", "discount_si", "coupon"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert a.info() == b.info()


def logit(p):
    return np.log(p / (1 - p))


# --- Same key, same weeks --------------------------------------------------------------------

_CHILD = """
import json, numpy as np, retail_gym
from retail_gym.simulator import Simulator
world = retail_gym.make_world("tiny", 4, n_customers=20)
simulator = Simulator(world, 2**62 + 12345)
rows = []
for week in range(8):
    outcome = simulator.step(world.base_price * (1 - 0.06 * week))
    lines = outcome.lines
    rows.append([lines.customer.tolist(), lines.product.tolist(), lines.quantity.tolist(),
                 outcome.visited.tolist(), outcome.revenue.hex()])
print(json.dumps(rows))
"""


def test_the_same_weeks_in_another_process():
    world = retail_gym.make_world("tiny", 4, n_customers=20)
    simulator = Simulator(world, 2**62 + 12345)
    ours = []
    for week in range(8):
        outcome = simulator.step(world.base_price * (1 - 0.06 * week))
        lines = outcome.lines
        ours.append([lines.customer.tolist(), lines.product.tolist(), lines.quantity.tolist(),
                     outcome.visited.tolist(), outcome.revenue.hex()])  # fmt: skip
    run = subprocess.run([sys.executable, "-c", _CHILD], capture_output=True, text=True,
                         check=True, cwd=_root())  # fmt: skip
    assert json.loads(run.stdout) == ours
    assert sum(len(row[0]) for row in ours) > 20


def _root():
    from pathlib import Path

    return Path(retail_gym.__file__).parents[1]


def test_another_key_is_another_episode(tiny_world):
    a, b = Simulator(tiny_world, 1), Simulator(tiny_world, 2)
    totals = [[s.step(tiny_world.base_price).revenue for _ in range(10)] for s in (a, b)]
    assert totals[0] != totals[1]


@pytest.fixture(scope="module")
def forgetful():
    """Inertia, marketing by coupon: everything a week can leave behind matters."""
    return retail_gym.make_world(
        "tiny", 1, theta=Uniform(0.25, 0.45), marketing="coupon", n_customers=12, category_shift=5.0
    )


def test_snapshot_and_restore_give_the_same_weeks_again(forgetful):
    world = forgetful
    prices, coupons = prices_of(world, 25), np.random.default_rng(1).random((25, 12)) * 0.5
    simulator = Simulator(world, 6)
    for week in range(5):
        simulator.step(prices[week], coupons[week])
    state = simulator.snapshot()
    first = [simulator.step(prices[w], coupons[w]) for w in range(5, 25)]
    assert simulator.week == 25
    simulator.restore(state)
    assert simulator.week == 5
    second = [simulator.step(prices[w], coupons[w]) for w in range(5, 25)]
    fresh = Simulator(world, 6)
    fresh.restore(state)
    third = [fresh.step(prices[w], coupons[w]) for w in range(5, 25)]
    for a, b, c in zip(first, second, third, strict=True):
        assert_same(a, b)
        assert_same(a, c)


def test_a_snapshot_outlives_what_follows(forgetful):
    simulator = Simulator(forgetful, 6)
    simulator.step(forgetful.base_price)
    state = simulator.snapshot()
    before = (state.week, state.last_purchase.copy(), state.memory.store_value.copy())
    for _ in range(5):
        simulator.step(0.5 * forgetful.base_price)
    assert state.week == before[0] == 1
    assert np.array_equal(state.last_purchase, before[1])
    assert np.array_equal(state.memory.store_value, before[2])


def test_a_snapshot_of_another_store_is_refused(tiny_world, forgetful):
    with pytest.raises(ValueError, match=r"12 customers.*5"):
        Simulator(tiny_world, 1).restore(Simulator(forgetful, 1).snapshot())


# --- Same luck, other prices ------------------------------------------------------------------


def test_visits_do_not_move_with_prices_where_the_equation_has_no_prices():
    """gamma_store_1 = gamma_store_2 = 0: the visit draws are the customers' own luck."""
    world = retail_gym.make_world("tiny", 0, gamma_store_1=0, gamma_store_2=0, gamma_store_0=0.2,
                                  n_customers=40)  # fmt: skip
    a, b = Simulator(world, 3), Simulator(world, 3)
    away = 0
    for price in prices_of(world, 15):
        cheap, dear = a.step(price), b.step(world.base_price)
        assert np.array_equal(cheap.visited, dear.visited)
        away += (~cheap.visited).sum()
    assert away > 100


def test_everybody_visits_in_week_1(small_world):
    for factor in (0.5, 1.0, 3.0):
        assert Simulator(small_world, 8).step(factor * small_world.base_price).visited.all()


def test_a_discount_leaves_decisions_in_other_categories_alone():
    """Without a cap, week 1: products 0-3 at half price, categories 1 and 2 decide as before."""
    world = retail_gym.make_world("tiny", 0, clip_percentile=100, n_customers=200)
    price = world.base_price.copy()
    price[:4] *= 0.5
    base, cheap = Simulator(world, 4).step(world.base_price), Simulator(world, 4).step(price)
    kept_a, kept_b = base.lines.category > 0, cheap.lines.category > 0
    for name in LINES:
        assert np.array_equal(getattr(base.lines, name)[kept_a], getattr(cheap.lines, name)[kept_b])
    assert kept_a.sum() > 50
    # Whoever bought in category 0 still does: the same draw meets a larger probability.
    before = set(base.lines.customer[~kept_a].tolist())
    after = set(cheap.lines.customer[~kept_b].tolist())
    assert before < after


def test_a_segments_discount_leaves_the_other_segment_alone(tiny_world):
    segments = tiny_world.segment_customers(2)
    a, b = Simulator(tiny_world, 5, segments), Simulator(tiny_world, 5, segments)
    others = np.isin(np.arange(5), segments[1])
    for price in prices_of(tiny_world, 20):
        left = a.step(np.stack([tiny_world.base_price, tiny_world.base_price]))
        right = b.step(np.stack([price, tiny_world.base_price]))
        mine, theirs = others[left.lines.customer], others[right.lines.customer]
        for name in LINES:
            ours = getattr(left.lines, name)[mine]
            assert np.array_equal(ours, getattr(right.lines, name)[theirs]), name
        assert np.array_equal(left.visited[others], right.visited[others])


def test_equal_prices_in_all_segments_are_one_global_price(forgetful):
    one, three = Simulator(forgetful, 7), Simulator(forgetful, 7, forgetful.segment_customers(3))
    for price in prices_of(forgetful, 15):
        a, b = one.step(price), three.step(np.tile(price, (3, 1)))
        for name in LINES:
            assert np.array_equal(getattr(a.lines, name), getattr(b.lines, name))
        assert a.info() == b.info()


# --- Visits ----------------------------------------------------------------------------------


def test_visit_probabilities_follow_the_recursion_of_equation_10():
    world = retail_gym.make_world("tiny", 0, theta=Uniform(0.3, 0.9), n_customers=15)
    simulator = Simulator(world, 2)
    simulator.step(world.base_price)
    before = simulator.memory
    assert (before.visit_probability == 1).all()
    for price in prices_of(world, 12):
        simulator.step(price)
        after = simulator.memory
        marketing = world.marketing_scale * (1 - price / world.base_price).mean()
        mu = world.gamma_store_0 + world.gamma_store_2 * marketing
        mu = mu + world.gamma_store_1 * np.where(before.visited, before.store_value, 0.0)
        s = 1 / (1 + np.exp(-mu))
        expected = (1 - world.theta) * s + world.theta * before.visit_probability
        assert after.visit_probability == pytest.approx(expected, rel=1e-12)
        before = after


def marketing_seen(simulator, world, before):
    """Invert eq. 10-12 (theta = 0): the marketing feature behind the visit probabilities."""
    mu = logit(simulator.memory.visit_probability)
    value = np.where(before.visited, before.store_value, 0.0)
    return (mu - world.gamma_store_0 - world.gamma_store_1 * value) / world.gamma_store_2


def test_marketing_by_discount_is_scale_times_mean_discount():
    world = retail_gym.make_world("tiny", 0, marketing_scale=500.0, gamma_store_2=0.01)
    simulator = Simulator(world, 2)
    simulator.step(world.base_price)
    for off in (0.0, 0.1, 0.5):
        before = simulator.memory
        price = world.base_price.copy()
        price[:3] *= 1 - off  # a third of the products
        simulator.step(price)
        expected = 500.0 * off / 3
        assert marketing_seen(simulator, world, before) == pytest.approx(expected, abs=1e-8)


def test_marketing_of_segments_is_their_own():
    world = retail_gym.make_world("tiny", 0, marketing_scale=500.0, gamma_store_2=0.01)
    segments = [np.array([4, 1]), np.array([0, 2, 3])]
    simulator = Simulator(world, 2, segments)
    simulator.step(world.base_price)
    before = simulator.memory
    simulator.step(np.stack([0.8 * world.base_price, 0.9 * world.base_price]))
    seen = marketing_seen(simulator, world, before)
    assert seen == pytest.approx([50, 100, 50, 50, 100], abs=1e-8)


def test_marketing_by_coupon_adds_last_weeks_coupon():
    world = retail_gym.make_world("tiny", 0, marketing="coupon", marketing_scale=100.0,
                                  gamma_store_2=0.02)  # fmt: skip
    simulator = Simulator(world, 2)
    coupon = np.array([0.0, 0.1, 0.2, 0.5, 0.05])
    simulator.step(world.base_price, coupon)
    before = simulator.memory
    simulator.step(0.9 * world.base_price)  # no coupon now: last week's counts
    expected = 100 * (0.1 + coupon)
    assert marketing_seen(simulator, world, before) == pytest.approx(expected, abs=1e-8)
    before = simulator.memory
    simulator.step(world.base_price, coupon)  # this week's does not
    assert marketing_seen(simulator, world, before) == pytest.approx(0.0, abs=1e-8)


def test_random_marketing_is_drawn_per_customer_and_week_whatever_the_prices():
    world = retail_gym.make_world("tiny", 0, marketing="noise", gamma_store_2=0.3, n_customers=400,
                                  gamma_store_0=0.0)  # fmt: skip
    a, b = Simulator(world, 2), Simulator(world, 2)
    seen = []
    for _ in range(3):
        before = a.memory, b.memory
        a.step(world.base_price)
        b.step(0.6 * world.base_price)
        if a.week > 1:
            seen.append(marketing_seen(a, world, before[0]))
            assert seen[-1] == pytest.approx(marketing_seen(b, world, before[1]), abs=1e-6)
    for x in seen:  # X = m + s n: mean 0, variance 2; 4 standard errors (fourth moment 24 < 30)
        assert abs(x.mean()) < 4 * np.sqrt(2 / 400)
        assert x.var() == pytest.approx(2.0, abs=4 * np.sqrt(30 / 400))
    assert abs(np.corrcoef(*seen)[0, 1]) < 4 / np.sqrt(400)


def test_store_values_are_remembered_of_those_who_came(small_world):
    simulator = Simulator(small_world, 3)
    for _ in range(3):
        outcome = simulator.step(small_world.base_price)
        value = simulator.memory.store_value
        assert (value[~outcome.visited] == 0).all()
        assert (value[outcome.visited] > 0).all()
        assert set(outcome.lines.customer.tolist()) <= set(np.flatnonzero(outcome.visited).tolist())


# --- Coupons ---------------------------------------------------------------------------------


def test_a_coupon_lowers_the_price_its_holder_pays(tiny_world):
    coupon = np.array([0.0, 0.25, 0.5, 0.1, 0.0])
    simulator = Simulator(tiny_world, 3)
    sold = 0
    for price in prices_of(tiny_world, 20):
        outcome = simulator.step(price, coupon)
        lines = outcome.lines
        expected = (1 - coupon[lines.customer]) * price[lines.product]
        assert outcome.unit_price == pytest.approx(expected, rel=1e-14)
        shelf = (1 - price / tiny_world.base_price).mean()
        assert outcome.effective_discount == pytest.approx(shelf, abs=1e-12)  # on the shelf
        sold += lines.customer.size
    assert sold > 20


def test_a_coupon_is_the_same_to_its_holder_as_a_shelf_discount():
    """Price and cap alike: in week 1, customers with 30 % decide as if all prices were 30 % off."""
    world = retail_gym.make_world("tiny", 0, n_customers=60, clip_percentile=80)
    coupon = np.where(np.arange(60) % 2, 0.3, 0.0)
    mixed = Simulator(world, 5).step(world.base_price, coupon)
    full, cheap = (Simulator(world, 5).step(f * world.base_price) for f in (1.0, 0.7))
    for odd, other in ((0, full), (1, cheap)):
        mine = mixed.lines.customer % 2 == odd
        theirs = other.lines.customer % 2 == odd
        for name in LINES:
            ours = getattr(mixed.lines, name)[mine]
            assert np.array_equal(ours, getattr(other.lines, name)[theirs]), name


# --- Bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "words"),
    [
        (np.ones(8), r"\(9,\).*got \(8,\)"),
        (np.ones((2, 9)), r"\(1, 9\).*got \(2, 9\)"),
        (1.0, "shape"),
        (np.full(9, np.nan), "finite and above 0"),
        (np.full(9, np.inf), "finite and above 0"),
        (np.r_[np.ones(8), 0.0], "finite and above 0"),
        (np.r_[np.ones(8), -1.0], "finite and above 0"),
    ],
)
def test_bad_prices_are_refused(tiny_world, price, words):
    simulator = Simulator(tiny_world, 1)
    with pytest.raises(ValueError, match=words):
        simulator.step(price)
    assert simulator.week == 0  # nothing happened


@pytest.mark.parametrize(
    "coupon",
    [np.zeros(4), 0.1, np.full(5, np.nan), np.r_[np.zeros(4), 1.0], np.r_[np.zeros(4), -0.1],
     np.zeros((1, 5))],
)  # fmt: skip
def test_bad_coupons_are_refused(tiny_world, coupon):
    simulator = Simulator(tiny_world, 1)
    with pytest.raises(ValueError, match="coupons must"):
        simulator.step(tiny_world.base_price, coupon)
    assert simulator.week == 0


@pytest.mark.parametrize(
    "segments",
    [[], [np.array([0, 1, 2])], [np.array([0, 1, 2, 3, 4]), np.array([4])],
     [np.array([0, 1, 2, 3, 5])], [np.array([0, 1, 2, 3, -1])]],
)  # fmt: skip
def test_segments_must_hold_everybody_once(tiny_world, segments):
    with pytest.raises(ValueError, match="each customer number exactly once"):
        Simulator(tiny_world, 1, segments)


@pytest.mark.parametrize("key", [-1, 2**64])
def test_a_key_beyond_64_bits_is_refused(tiny_world, key):
    with pytest.raises(ValueError, match=r"2\*\*64"):
        Simulator(tiny_world, key).step(tiny_world.base_price)


def test_the_callers_prices_are_left_alone(tiny_world):
    price = tiny_world.base_price.copy()
    outcome = Simulator(tiny_world, 1).step(price)
    price[:] = -1.0
    assert (outcome.unit_price > 0).all()


def test_a_store_of_one_customer_and_one_product():
    world = retail_gym.make_world("tiny", 0, n_customers=1, category_sizes=(1,), category_shift=9.0)
    assert isinstance(world, World)
    simulator = Simulator(world, 1)
    bought = [simulator.step(world.base_price).units for _ in range(30)]
    assert max(bought) >= 1


@pytest.mark.parametrize(
    ("discount", "message"),
    [
        (np.zeros((2, 3)), "shape"),
        (np.full((1, 9), np.nan), "finite"),
        (np.full(9, 1.5), "at most 1"),
    ],
)
def test_discounts_behind_the_prices_are_checked(tiny_world, discount, message):
    with pytest.raises(ValueError, match=message):
        Simulator(tiny_world, 1).step(tiny_world.base_price, discount_si=discount)


def test_discounts_of_one_row_serve_every_segment(tiny_world):
    simulator = Simulator(tiny_world, 1, tiny_world.segment_customers(2))
    drawn = np.linspace(0.0, 0.4, 9)
    outcome = simulator.step(tiny_world.base_price, discount_si=drawn)
    assert np.array_equal(outcome.segment_discount, [drawn.mean()] * 2)
