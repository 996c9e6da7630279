"""The promotion process: Appendix B, memory, ranks, segments.

Fixed seeds. A mean over independent products is compared within 4 standard errors of that mean
(error rate 6e-5 each); where a comparison adds an allowance for the tabulated Beta quantiles,
it says so.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import retail_gym
from retail_gym import rng
from retail_gym.policies import SCENARIOS, EverydayLow
from retail_gym.promotion import Promotion
from retail_gym.simulator import Simulator
from retail_gym.world import PromotionPlan
from retail_gym.world.priors import Beta

#: Appendix B and Table 4: effective discount, discount-state probability, mean depth.
APPENDIX_B = {
    "I": (0.03, 0.60, 0.05),
    "II": (0.03, 0.30, 0.10),
    "III": (0.15, 0.60, 0.25),
    "IV": (0.15, 0.30, 0.50),
    "V": (0.24, 0.60, 0.40),
}
TABLE_1 = PromotionPlan(Beta(1, 5), Beta(2, 5), Beta(15, 35))


def run(plan, n_products=2_000, weeks=200, burn=30, key=1):
    """Discounts of some weeks, shape (weeks, products)."""
    promotion = Promotion(n_products, key)
    rows = [promotion.step([plan], week)[0] for week in range(1, burn + weeks + 1)]
    return np.stack(rows[burn:])


def expected_state_probability(a01, a11):
    """E[a01 / (1 - a11 + a01)] over independent Beta laws, by 400 x 400 midpoints."""
    q = (np.arange(400) + 0.5) / 400
    enter = stats.beta(a01.a, a01.b).ppf(q)[:, None]
    stay = stats.beta(a11.a, a11.b).ppf(q)[None, :]
    return float((enter / (1 - stay + enter)).mean())


@pytest.mark.parametrize("name", APPENDIX_B)
def test_the_five_policies_are_those_of_table_4(name):
    effective, share, depth = APPENDIX_B[name]
    plan = PromotionPlan.high_low(*SCENARIOS[name])
    assert plan.frequency == pytest.approx(share, abs=1e-12)
    assert plan.mean_depth == pytest.approx(depth, abs=1e-12)
    assert plan.effective_discount == pytest.approx(effective, abs=1e-12)
    a, b = 100 * share, 100 * (1 - share)
    assert (plan.a01.a, plan.a01.b) == pytest.approx((a, b))
    assert (plan.a11.a, plan.a11.b) == pytest.approx((a, b))
    assert (plan.depth.a, plan.depth.b) == pytest.approx((100 * depth, 100 * (1 - depth)))


def test_table_1_has_the_published_effective_discount():
    # (1/6) / (1 - 2/7 + 1/6) = 7/37 of weeks at a mean depth of 0.3: 5.7 %.
    assert TABLE_1.frequency == pytest.approx(7 / 37)
    assert TABLE_1.effective_discount == pytest.approx(0.057, abs=5e-4)


@pytest.mark.parametrize("name", [*APPENDIX_B, "Table 1"])
def test_simulated_frequency_and_depth_match_appendix_b(name):
    plan = TABLE_1 if name == "Table 1" else PromotionPlan.high_low(*SCENARIOS[name])
    discount = run(plan)
    on = discount > 0
    per_product = on.mean(axis=0)
    error = per_product.std() / np.sqrt(per_product.size)
    expected = expected_state_probability(plan.a01, plan.a11)
    # + 0.0005: the tabulated Beta quantiles.
    assert abs(on.mean() - expected) < 4 * error + 5e-4
    depth = discount[on]
    assert abs(depth.mean() - plan.mean_depth) < 4 * depth.std() / np.sqrt(depth.size) + 5e-5
    law = stats.beta(plan.depth.a, plan.depth.b)
    assert depth.std() == pytest.approx(law.std(), rel=0.02)
    if name != "Table 1":  # the mean over products and the value at the mean agree within 2 %
        effective, share, mean_depth = APPENDIX_B[name]
        assert on.mean() == pytest.approx(share, rel=0.02)
        assert depth.mean() == pytest.approx(mean_depth, rel=0.02)
        assert discount.mean() == pytest.approx(effective, rel=0.03)
    else:  # averaged over products 5.3 %, not the 5.7 % at the mean transitions (parameters.md)
        assert discount.mean() == pytest.approx(0.053, abs=0.002)


@pytest.mark.parametrize("plan", [TABLE_1, PromotionPlan.high_low(0.3, 0.3)])
def test_the_first_transition_applies_before_week_1_from_full_price(plan):
    """Discounted in week 1: a share E[a01], not the stationary one."""
    n = 26_176
    share = (Promotion(n, 5).step([plan], 1) > 0).mean()
    expected = plan.a01.mean
    assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / n)


def _transitions(discount):
    """Per product: weeks at full price and discounted, and how many of each led to a discount."""
    on = discount > 0
    before, after = on[:-1], on[1:]
    return (~before).sum(0), (~before & after).sum(0), before.sum(0), (before & after).sum(0)


def _z(count, n, p):
    return (count - n * p) / np.sqrt(np.maximum(n * p * (1 - p), 1e-9))


def test_memory_per_product_with_given_probabilities():
    """80 z values, the largest below 4.8: error rate 1.3e-4."""
    a01, a11 = np.linspace(0.05, 0.4, 40), np.linspace(0.9, 0.3, 40)
    discount = run(PromotionPlan(a01, a11, 0.2), 40, 3_000, 0, key=2)
    full, entered, discounted, stayed = _transitions(discount)
    assert np.abs(_z(entered, full, a01)).max() < 4.8
    assert np.abs(_z(stayed, discounted, a11)).max() < 4.8


def test_memory_per_product_with_beta_laws():
    """Each product's transition probabilities are the quantiles at its two ranks, for good."""
    n, key = 60, 3
    discount = run(TABLE_1, n, 3_000, 0, key=key)
    items = rng.item_hash(n)
    a01 = rng.beta(rng.words(rng.stream_key(key, 0, rng.Stage.RANK_A01), items), 1, 5)
    a11 = rng.beta(rng.words(rng.stream_key(key, 0, rng.Stage.RANK_A11), items), 2, 5)
    assert a01.std() > 0.05  # products do differ
    full, entered, discounted, stayed = _transitions(discount)
    assert np.abs(_z(entered, full, a01)).max() < 4.8  # 120 values: error rate 1.9e-4
    assert np.abs(_z(stayed, discounted, a11)).max() < 4.8
    # A process without memory would have a11 = a01 for every product (upstream's shared keys).
    assert np.abs(_z(stayed, discounted, a01)).max() > 10


def test_ranks_of_the_two_transitions_are_independent_and_uniform():
    n = 26_176
    ranks = [
        rng.uniform(rng.words(rng.stream_key(9, 0, stage), rng.item_hash(n)))
        for stage in (rng.Stage.RANK_A01, rng.Stage.RANK_A11)
    ]
    assert abs(np.corrcoef(*ranks)[0, 1]) < 4 / np.sqrt(n)
    for rank in ranks:
        assert stats.kstest(rank, "uniform").pvalue > 1e-4


def test_depths_are_drawn_anew_every_week_independently_of_the_state():
    depth = PromotionPlan(1.0, 1.0, Beta(25, 75))
    discount = run(depth, 2_000, 2, 0)
    assert (discount > 0).all()
    assert abs(np.corrcoef(discount)[0, 1]) < 4 / np.sqrt(2_000)
    sparse = run(PromotionPlan(0.3, 0.3, Beta(25, 75)), 2_000, 2, 0)
    both = sparse > 0
    assert np.array_equal(sparse[both], discount[both])  # the depth's stream is its own


@pytest.mark.parametrize(("depth", "frequency"), [(0.0, 0.6), (0.5, 0.0), (0.0, 0.0)])
def test_no_depth_or_no_frequency_is_no_discount(depth, frequency):
    plan = PromotionPlan.high_low(depth, frequency)
    assert (run(plan, 500, 20, 0) == 0).all()
    assert plan.effective_discount == plan.frequency == plan.mean_depth == 0.0


def test_a_pause_ends_every_discount():
    promotion, plan = Promotion(500, 1), PromotionPlan(0.9, 0.9, 0.3)
    assert (promotion.step([plan], 1) > 0).any()
    assert (promotion.step([PromotionPlan.none()], 2) == 0).all()
    # From full price again: with a01 = 0 nothing can be discounted.
    assert (promotion.step([PromotionPlan(0.0, 1.0, 0.3)], 3) == 0).all()


def test_segments_share_the_product_draws():
    a, b = PromotionPlan.high_low(0.3, 0.6), PromotionPlan.high_low(0.2, 0.2)
    shared, alone, other = Promotion(300, 4, 3), Promotion(300, 4), Promotion(300, 4)
    for week in range(1, 30):
        rows = shared.step([a, b, a], week)
        assert rows.shape == (3, 300)
        assert np.array_equal(rows[0], rows[2])
        assert not np.array_equal(rows[0], rows[1])
        assert np.array_equal(rows[0], alone.step([a], week)[0])
        assert np.array_equal(rows[1], other.step([b], week)[0])


def test_ranks_are_kept_when_the_frequency_changes():
    """A product often promoted under one frequency is often promoted under the next.

    300 products, 400 weeks at f = 0.2, then 400 at f = 0.5. Share of variance between products:
    the Beta laws' sd is 0.04 and 0.05, a 400-week share's error 0.02 and 0.025, so the expected
    correlation is about 0.8; it would be 0 within 0.23 (4 / sqrt(300)) with new ranks.
    """
    promotion = Promotion(300, 6)
    shares = []
    week = 0
    for frequency in (0.2, 0.5):
        plan, count = PromotionPlan.high_low(0.2, frequency), np.zeros(300)
        for _ in range(400):
            week += 1
            count += promotion.step([plan], week)[0] > 0
        shares.append(count / 400)
    assert np.corrcoef(*shares)[0, 1] > 0.5


def test_more_frequency_or_depth_never_takes_a_discount_away():
    """Same luck: from full price, a smaller action's discounts are among a larger one's.

    (In later weeks not quite: a product's two ranks differ.)
    """
    low, high = PromotionPlan.high_low(0.10, 0.25), PromotionPlan.high_low(0.35, 0.40)
    for key in range(20):
        small = Promotion(1_000, key).step([low], 1)[0]
        large = Promotion(1_000, key).step([high], 1)[0]
        assert (large >= small).all()
        assert (large > 0).sum() > (small > 0).sum() > 0


def test_more_products_leave_the_discounts_of_the_others_alone():
    plan = PromotionPlan.high_low(0.3, 0.4)
    assert np.array_equal(run(plan, 50, 20, 0), run(plan, 80, 20, 0)[:, :50])


def test_another_episode_has_other_discounts():
    plan = PromotionPlan.high_low(0.3, 0.4)
    assert not np.array_equal(run(plan, 50, 5, 0, key=1), run(plan, 50, 5, 0, key=2))


def test_snapshot_and_restore():
    plan = PromotionPlan(0.1, 0.9, Beta(3, 7))
    promotion = Promotion(200, 8, 2)
    plans = [plan, PromotionPlan.high_low(0.2, 0.6)]
    for week in range(1, 6):
        promotion.step(plans, week)
    state = promotion.snapshot()
    first = [promotion.step(plans, week) for week in range(6, 12)]
    promotion.restore(state)
    second = [promotion.step(plans, week) for week in range(6, 12)]
    assert np.array_equal(first, second)
    fresh = Promotion(200, 8, 2)
    fresh.restore(state)
    assert np.array_equal([fresh.step(plans, week) for week in range(6, 12)], first)


def test_everyday_low_is_the_same_reduction_everywhere_always(tiny_world):
    policy = EverydayLow(0.15)
    promotion, simulator = Promotion(9, 1), Simulator(tiny_world, 1)
    for week in range(1, 20):
        discount = promotion.step([policy(None, week)], week)
        assert (discount == 0.15).all()
        outcome = simulator.step((1 - discount[0]) * tiny_world.base_price)
        assert outcome.effective_discount == pytest.approx(0.15, abs=1e-12)
        assert outcome.line_discount == pytest.approx(0.15, abs=1e-12)
    assert EverydayLow(0.0)(None, 1).depth is None


def test_a_plan_for_another_number_of_products_is_refused():
    with pytest.raises(ValueError, match="4 transition probabilities for 9 products"):
        Promotion(9, 1).step([PromotionPlan(np.full(4, 0.2), 0.5, 0.2)], 1)


@pytest.mark.parametrize(
    "laws",
    [(0.5, None, 0.2), (None, None, 0.2), (1.2, 0.5, 0.2), (0.2, -0.1, 0.2), (0.2, 0.5, 1.5),
     (float("nan"), 0.5, 0.2), (0.2, 0.5, [0.1, 0.2]), (0.2, 0.5, {"kind": "normal", "mean": 0,
     "sd": 1}), ([[0.1]], 0.5, 0.2)],
)  # fmt: skip
def test_an_impossible_plan_is_refused(laws):
    with pytest.raises(ValueError, match=r"a01|a11|depth"):
        PromotionPlan(*laws)


@pytest.mark.parametrize("pair", [(-0.1, 0.3), (0.3, -0.1), (1.0, 0.3), (0.3, 1.0),
                                  (float("nan"), 0.3), ("deep", 0.3)])  # fmt: skip
def test_an_impossible_depth_or_frequency_is_refused(pair):
    with pytest.raises(ValueError, match=r"depth|frequency"):
        PromotionPlan.high_low(*pair)


def test_the_calibrated_store_promotes_as_table_1_says():
    plan = retail_gym.make_world("calibrated", n_customers=1).promotion
    assert (plan.a01, plan.a11, plan.depth) == (Beta(1, 5), Beta(2, 5), Beta(15, 35))
