"""A week of promotions in one pass is the week that goes stage by stage, whoever shares it."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from retail_gym.envs import RetailPricingEnv
from retail_gym.envs.pricing import run_weeks
from retail_gym.kernels.crew import Crew
from retail_gym.kernels.memory import Stand
from retail_gym.kernels.numba_cpu import NumbaKernel
from retail_gym.kernels.shelf import caps
from retail_gym.promotion import Promotion, laws
from retail_gym.simulator import Simulator, promote_weeks
from retail_gym.world import make_world
from retail_gym.world.presets import load_config
from retail_gym.world.store_config import PromotionPlan
from retail_gym.world.world import build_world

KEY = 20_240_717
PLANS = [
    PromotionPlan.high_low(0.3, 0.5),
    PromotionPlan.none(),
    PromotionPlan(0.2, 0.6, 0.15),
]


def _plain(world, key, plans_of_weeks, guard=1.0):
    """Weeks by promotion, prices, simulator: each stage for itself."""
    simulator = Simulator(world, key, kernel=NumbaKernel(guard))
    promotion = Promotion(world.n_products, key)
    outcomes = []
    for week, plan in enumerate(plans_of_weeks, start=1):
        discount = promotion.step([plan], week)
        price = np.maximum((1.0 - discount) * world.base_price, world.lowest_price)
        outcomes.append(simulator.step(price, discount_si=discount))
    return outcomes


@pytest.mark.parametrize(("preset", "guard"), [("tiny", 1.0), ("small", 1.0), ("small", 1e5)])
def test_a_week_in_one_pass_is_the_week_stage_by_stage(preset, guard):
    """Purchases, prices and visits; a guard so wide that visits are summed in double precision."""
    world = make_world(preset)
    simulator = Simulator(world, KEY, kernel=NumbaKernel(guard))
    assert simulator.together() is not None
    promotion, weeks = Promotion(world.n_products, KEY), [PLANS[k % 3] for k in range(9)]
    for plan, expected in zip(weeks, _plain(world, KEY, weeks, guard), strict=True):
        (outcome,) = promote_weeks([simulator], laws([promotion], [[plan]]))
        assert isinstance(simulator.memory.past[-1].board, Stand)
        for name in ("customer", "category", "product", "quantity"):
            assert np.array_equal(getattr(outcome.lines, name), getattr(expected.lines, name))
        assert np.array_equal(outcome.visited, expected.visited)
        assert np.array_equal(outcome.last_purchase, expected.last_purchase)
        assert np.array_equal(outcome.unit_price, expected.unit_price)
        assert np.array_equal(outcome.base_price, expected.base_price)
        assert np.array_equal(outcome.discount_si, expected.discount_si)
        np.testing.assert_allclose(
            outcome.segment_discount, expected.segment_discount, rtol=1e-12, atol=1e-15
        )
        ours, theirs = outcome.info(), expected.info()  # taken along; defined by WeekOutcome
        assert {name: ours[name] for name in ours} == pytest.approx(theirs, rel=1e-12, abs=1e-12)
        assert outcome.buyers == expected.buyers
        offer = simulator.memory.past[-1].offer
        paid = np.maximum((1 - expected.discount_si) * world.base_price, world.lowest_price)
        np.testing.assert_allclose(np.exp(offer.log_price_gi), paid, rtol=1e-12)
        assert offer.cap_g[0] == world.cap_reference.cap(offer.log_price_gi[0])
    if guard > 1:
        assert simulator.kernel.counts[4] > 0


def test_the_cap_is_the_percentile_digit_for_digit():
    """Below base prices, where few pairs are looked at, and above, where all are."""
    world, generator = make_world("small"), np.random.default_rng(3)
    base = np.log(world.base_price)
    off = generator.random((12, base.size)) * np.linspace(-1.0, 2.0, 12)[:, None]
    expected = [world.cap_reference.cap(base - row) for row in off]
    assert np.array_equal(caps(world, base - off), expected)


@pytest.mark.parametrize("size", [2, 3])
def test_stores_and_kernels_of_one_call_may_differ(size):
    """Each environment as if alone, for any number of threads."""
    made = [
        {"preset": "tiny"}, {"preset": "small"}, {"preset": "tiny", "segments": 2},
        {"preset": "tiny", "kernel": "reference"}, {"preset": "small"},
    ]  # fmt: skip
    crew = Crew(size)
    crew.warm = True
    together = [RetailPricingEnv(**settings) for settings in made]
    alone = [RetailPricingEnv(**settings) for settings in made]
    actions = [np.full(env.action_space.shape, 0.3, dtype=np.float32) for env in alone]
    for k, (a, b) in enumerate(zip(together, alone, strict=True)):
        a.reset(seed=k)
        b.reset(seed=k)
    for _ in range(4):
        decisions = [env.decide(a) for env, a in zip(together, actions, strict=True)]
        outcomes = run_weeks(together, decisions, crew)
        for env, action, outcome in zip(alone, actions, outcomes, strict=True):
            info = env.step(action)[4]
            assert outcome.info() == info
            assert np.array_equal(outcome.lines.product, env.outcome.lines.product)
    crew.close()


def test_a_week_keeps_little_of_the_past():
    """Memories point to the last week and this one, not to the whole episode."""
    env = RetailPricingEnv("tiny")
    env.reset(seed=0)
    for _ in range(12):
        env.step(np.array([0.2, 0.4], dtype=np.float32))
    gc.collect()
    assert len(env._running().memory.past) == 2


def test_a_store_that_nobody_holds_is_forgotten() -> None:
    store = build_world(load_config("tiny"), 3)  # not make_world, which remembers the last few
    env = RetailPricingEnv(store)
    env.reset(seed=0)
    env.step(np.array([0.2, 0.5], dtype=np.float32))
    known = weakref.ref(store)
    del env, store
    gc.collect()
    assert known() is None
