"""The chain of visits: exact arithmetic, plans against brute force, agreement with simulation."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.special import expit

from retail_gym import RetailPricingEnv, evaluate, make_world
from retail_gym.envs.rewards import (
    REWARDS,
    DiscountSpend,
    Margin,
    Retention,
    Revenue,
    WeightedSum,
    as_reward,
)
from retail_gym.evaluation.model_policies import StoreModel
from retail_gym.evaluation.planning import Chain, State
from retail_gym.evaluation.response import (
    ACTIONS,
    Response,
    VisitReward,
    measure_response,
    visit_reward,
)
from retail_gym.policies import HighLow
from retail_gym.world.expectation import expected_visit


def made_up(n_actions: int = 3, n_customers: int = 4, seed: int = 0) -> Response:
    """A response of random numbers, in which memory and marketing matter."""
    generator = np.random.default_rng(seed)
    shape = (n_actions, n_customers)
    return Response(
        actions=np.stack([np.arange(n_actions) / 10, np.arange(n_actions) / 8], axis=1),
        marketing_k=3.0 * np.arange(n_actions),
        store_value_ku=generator.uniform(0.0, 6.0, shape),
        buys_ku=generator.uniform(0.3, 1.0, shape),
        revenue_ku=generator.uniform(0.0, 2.0, shape),
        list_revenue_ku=generator.uniform(2.0, 3.0, shape),
        gamma_store=(-1.5, 0.4, 0.2),
        reward_scale=2.0,
    )


def by_hand(response: Response, reward: VisitReward, plan: list[int], burn_in: int = 0) -> float:
    """Expected return of a plan by following every history of visits and purchases."""
    g0, g1, g2 = response.gamma_store
    weeks = [0] * burn_in + list(plan)
    total, n = 0.0, response.revenue_ku.shape[1]
    for u in range(n):
        # probability by (visited last week, purchases of all weeks)
        histories: dict[tuple[bool, tuple[bool, ...]], float] = {(False, ()): 1.0}
        for t, k in enumerate(weeks):
            following: dict[tuple[bool, tuple[bool, ...]], float] = {}
            for (visited, bought), mass in histories.items():
                memory = g1 * response.store_value_ku[weeks[t - 1], u] if visited else 0.0
                come = 1.0 if t == 0 else expit(g0 + memory + g2 * response.marketing_k[k])
                buys = response.buys_ku[k, u]
                for state, p in (
                    ((True, (*bought, True)), come * buys),
                    ((True, (*bought, False)), come * (1 - buys)),
                    ((False, (*bought, False)), 1 - come),
                ):
                    following[state] = following.get(state, 0.0) + mass * p
                if t >= burn_in:
                    total += mass * come * reward.visit_ku[k, u]
            histories = following
            if t >= burn_in:
                active = sum(m for (_, bought), m in histories.items() if any(bought[-4:]))
                total += reward.active * active / n
    return total


@pytest.mark.parametrize("name", sorted(REWARDS))
@pytest.mark.parametrize("burn_in", [0, 2])
def test_value_of_a_plan_is_that_of_all_histories(name: str, burn_in: int) -> None:
    response = made_up()
    reward = visit_reward(as_reward(name), response)
    chain, plan = Chain(response, reward), [2, 0, 1, 1, 2, 0]
    start = chain.before_first_week()
    for _ in range(burn_in):
        start = chain.after(start, 0)
    assert chain.value(plan, start) == pytest.approx(by_hand(response, reward, plan, burn_in))


def test_rewards_count_what_their_names_say() -> None:
    response = made_up()
    money = response.revenue_ku / 2.0
    assert np.allclose(visit_reward(Revenue(), response).visit_ku, money)
    at_list = response.list_revenue_ku / 2.0
    assert np.allclose(visit_reward(Margin(), response).visit_ku, money - 0.7 * at_list)
    assert np.allclose(visit_reward(DiscountSpend(), response).visit_ku, at_list - money)
    assert visit_reward(Retention(), response).active == 1.0
    both = visit_reward(WeightedSum(((2.0, Revenue()), (-0.5, Retention()))), response)
    assert np.allclose(both.visit_ku, 2.0 * money)
    assert both.active == -0.5


def test_a_reward_of_ones_own_is_refused_with_a_way_out() -> None:
    with pytest.raises(ValueError, match=r"visit_reward\.register"):
        visit_reward(lambda outcome, scale: 1.0, made_up())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", ["margin", "balanced"])
def test_best_plan_is_that_of_brute_force(name: str, seed: int) -> None:
    response = made_up(seed=seed)
    chain = Chain(response, visit_reward(as_reward(name), response))
    start = chain.before_first_week()
    found = chain.best_plan(5, start)
    best = max(chain.value(plan, start) for plan in product(range(3), repeat=5))
    assert found.value == pytest.approx(best, rel=1e-9)
    assert chain.value(found.actions_t, start) == pytest.approx(found.value)


def test_improving_a_plan_never_makes_it_worse_and_leaves_no_better_week() -> None:
    response = made_up(n_actions=5, seed=9)
    chain = Chain(response, visit_reward(Margin(), response))
    start = chain.before_first_week()
    for first in ([0] * 9, [4, 0] * 4 + [4], [3] * 9):
        plan, value = chain.improve(first, start)
        assert value >= chain.value(first, start) - 1e-12
        for t, k in product(range(9), range(5)):
            other = plan.copy()
            other[t] = k
            assert chain.value(other, start) <= value + 1e-9


def test_scores_from_an_observed_state() -> None:
    # One week to go: a visitor's memory counts, an absentee's store value does not.
    response = made_up(n_customers=2)
    chain = Chain(response, visit_reward(Revenue(), response))
    state = chain.observed(np.array([True, False]), np.array([0, 3]), last_action=1)
    g0, g1, g2 = response.gamma_store
    market = g0 + g2 * response.marketing_k
    expected = (
        expit(market + g1 * response.store_value_ku[1, 0]) * response.revenue_ku[:, 0]
        + expit(market) * response.revenue_ku[:, 1]
    ) / 2.0
    assert np.allclose(chain.scores(state, chain.nothing_more()), expected)


def test_active_customers_are_counted_from_their_last_purchase() -> None:
    response = replace(made_up(n_customers=3), gamma_store=(-60.0, 0.0, 0.0))  # nobody comes
    chain = Chain(response, visit_reward(Retention(), response))
    state = chain.observed(np.zeros(3, dtype=bool), np.array([0, 2, 3]), last_action=0)
    # After one more week: 1, 3 and 4 weeks ago; the last is too long.
    assert np.allclose(chain.scores(state, chain.nothing_more()), 2 / 3)


def test_customers_of_segments_add_up() -> None:
    response = made_up(n_customers=5)
    reward = visit_reward(as_reward("balanced"), response)
    whole = Chain(response, reward)
    parts = [Chain(response, reward, np.array(rows)) for rows in ([3, 0], [1, 2, 4])]
    plan = [1, 2, 0, 1]
    value = sum(part.value(plan, part.before_first_week()) for part in parts)
    assert value == pytest.approx(whole.value(plan, whole.before_first_week()))


# The response of a store


def test_response_is_the_expectation_of_a_visit(tiny_world) -> None:
    response = measure_response(tiny_world, [(0.3, 0.6)], draws=2, degree=None)
    assert response.actions.tolist() == [[0.0, 0.0], [0.3, 0.6]]
    assert response.marketing_k == pytest.approx([0.0, 26_176 * 0.18])
    # At base prices only the noise differs between draws: 400 others have the same mean.
    visits = [
        expected_visit(tiny_world, tiny_world.base_price, seed=1, week=week) for week in range(400)
    ]
    money = [(visit.category_probability * visit.revenue).sum(axis=1) for visit in visits]
    error = np.std(money, axis=0) * np.sqrt(1 / 40 + 1 / 400)
    # alpha = 1e-5 for 5 comparisons of about normal means (|z| > 4.9).
    assert (np.abs(response.revenue_ku[0] - np.mean(money, axis=0)) < 4.9 * error).all()
    assert np.allclose(response.revenue_ku[0], response.list_revenue_ku[0])
    assert (response.revenue_ku[1] < response.list_revenue_ku[1]).all()


def test_response_is_the_same_every_time_and_unlike_an_episodes_luck(tiny_world) -> None:
    one, two = (measure_response(tiny_world, [(0.2, 0.5)], draws=1) for _ in range(2))
    assert np.array_equal(one.revenue_ku, two.revenue_ku)


def test_smoothing_keeps_a_smooth_response_and_no_discount() -> None:
    from retail_gym.evaluation.response import _smooth

    pairs = np.array(ACTIONS)
    d, f = pairs.T
    smooth = 1.0 + d * f * (2.0 - d + 3.0 * d * f)
    noisy = smooth + np.random.default_rng(0).normal(0.0, 0.1, smooth.size)
    count = np.full(len(pairs), 2)
    kept, mended = _smooth(
        np.stack([smooth, noisy])[:, :, None], pairs, count, 3
    )  # fmt: skip
    assert np.allclose(kept[:, 0], smooth)
    assert np.abs(mended[:, 0] - smooth).mean() < 0.3 * np.abs(noisy - smooth).mean()


@pytest.mark.parametrize(
    "store", [{"theta": 0.3}, {"marketing": "noise"}, {"marketing": "coupon"}], ids=str
)
def test_stores_beyond_the_model_are_refused(store) -> None:
    with pytest.raises(ValueError, match="without inertia"):
        measure_response(make_world("tiny", 0, **store))


def test_expected_returns_agree_with_simulation(small_world) -> None:
    # Means of 6 episodes have standard errors below 1.5 %; the model leaves out that the store
    # value varies and smooths over actions.
    pairs = [(d, f) for d in (0.1, 0.2, 0.3, 0.4, 0.5) for f in (0.2, 0.4, 0.6)]
    response = measure_response(small_world, pairs, draws=4, degree=2)
    env = RetailPricingEnv(small_world, horizon=26, reward="revenue")
    model = StoreModel(env, response)
    (chain,), (start,) = model.chains, model.starts()
    policies = {str(k): HighLow(*response.actions[k]) for k in (6, 9, 12)}
    runs = evaluate(small_world, policies, 26, range(6), reward="revenue")
    means = dict(runs.group_by("policy").mean().select("policy", "return").iter_rows())
    for name, value in means.items():
        assert chain.value([int(name)] * 26, start) == pytest.approx(value, rel=0.06), name


def test_burn_in_moves_the_start() -> None:
    env = RetailPricingEnv("tiny", horizon=4, burn_in=3)
    model = StoreModel(env, measure_response(env.world, [(0.3, 0.6)], draws=1, degree=None))
    (state,) = model.starts()
    assert isinstance(state, State)
    assert not state.first
    assert 0.0 < state.visited_ua.sum() < 5.0
