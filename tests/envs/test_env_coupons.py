"""The coupon environment: one episode seen three ways, and nothing seen that a retailer does not."""

from __future__ import annotations

import warnings
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from retail_gym import evaluate, make_world
from retail_gym.envs.coupon_views import CustomerVectorEnv, UniformCoupons, play
from retail_gym.envs.coupons import COUPON_LEVELS, RetailCouponEnv
from retail_gym.envs.customer_records import CUSTOMER_FEATURES, CustomerRecords, coming_week
from retail_gym.kernels import Purchases
from retail_gym.kernels.base import PlainMemory
from retail_gym.outcome import COST_SHARE
from retail_gym.simulator import Simulator

SMALL = {"n_customers": 12, "category_sizes": (4, 3, 2), "category_shift": 4.0}
SETTINGS = ("coupon_brand_loyalty", "coupon_driven")


def make(preset="coupon_brand_loyalty", **kwargs):
    return RetailCouponEnv(preset, **({"horizon": 5} | SMALL | kwargs))


def column(observation, name):
    return observation[:, [n for n, _, _ in CUSTOMER_FEATURES].index(name)]


@pytest.mark.parametrize("kwargs", [
    {},
    {"preset": "coupon_driven", "reward": "margin"},
    {"burn_in": 3, "world_seeds": range(5)},
    {"horizon": 2, "features": "persistent", "n_customers": 1},
])  # fmt: skip
def test_gymnasium_checker_without_a_warning(kwargs):
    env = gym.make("RetailSynthCoupons-v0", **({"horizon": 5} | SMALL | kwargs))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


@pytest.mark.parametrize("preset", SETTINGS)
def test_joint_vector_and_bandit_are_one_episode(preset):
    arms = np.random.default_rng(0).integers(11, size=(5, 12))
    joint, vector = make(preset, burn_in=2), CustomerVectorEnv(make(preset, burn_in=2))
    log = play(make(preset, burn_in=2), lambda _, week: arms[week - 1], seed=7)
    one, _ = joint.reset(seed=7)
    many, _ = vector.reset(seed=7)
    for t in range(5):
        assert np.array_equal(one, many)
        assert np.array_equal(one, log.contexts[t])
        one, reward, terminated, truncated, info = joint.step(arms[t])
        many, rewards, terminations, truncations, _ = vector.step(arms[t])
        assert reward == pytest.approx(rewards.mean(), rel=1e-12)
        assert np.array_equal(rewards, log.rewards[t])
        assert info == log.infos[t]
        assert (truncations == truncated).all()
        assert truncated is (t == 4)
        assert not terminated
        assert not terminations.any()
    # NEXT_STEP: the next step is a reset, of the same stream in both.
    one, _ = joint.reset()
    many, rewards, *_ = vector.step(arms[0])
    assert np.array_equal(one, many)
    assert not rewards.any()
    for _ in range(5):
        *_, truncations, _ = vector.step(arms[0])
    assert truncations.all()
    vector.reset(seed=1)  # a reset by hand is not followed by another
    _, rewards, *_ = vector.step(arms[0])
    assert rewards.any()


def test_stable_baselines_view_is_the_joint_environment():
    pytest.importorskip("stable_baselines3")
    from retail_gym.envs.sb3_coupons import make_customer_vec_env

    env = make_customer_vec_env(
        2, seed=3, monitor=False, preset="coupon_driven", horizon=3, **SMALL
    )
    singles = [make("coupon_driven", horizon=3) for _ in range(2)]
    rows = env.reset()
    expected = [single.reset(seed=3 + 12 * k)[0] for k, single in enumerate(singles)]
    generator = np.random.default_rng(1)
    for t in range(3):
        assert np.array_equal(rows, np.concatenate(expected))
        arms = generator.integers(11, size=24)
        rows, rewards, dones, infos = env.step(arms)
        expected = [s.step(a)[0] for s, a in zip(singles, arms.reshape(2, 12), strict=True)]
        own = np.concatenate([single.customer_rewards for single in singles])
        assert rewards == pytest.approx(own, rel=1e-6)
        assert (dones == (t == 2)).all()
    assert np.array_equal([i["terminal_observation"] for i in infos], np.concatenate(expected))
    assert all(info["TimeLimit.truncated"] for info in infos)
    assert np.array_equal(rows, np.concatenate([single.reset()[0] for single in singles]))


@pytest.mark.parametrize("preset", SETTINGS)
def test_rewards_add_up_to_the_simulator(preset):
    revenue, margin = make(preset), make(preset, reward="margin")
    for env in (revenue, margin):
        env.reset(seed=2)
    for t in range(5):
        arms = np.full(12, 2 * t)
        _, one, _, _, info = revenue.step(arms)
        _, two, _, _, _ = margin.step(arms)
        lines = revenue.outcome
        paid = (lines.lines.quantity * lines.unit_price).sum()
        assert one * revenue.reward_scale == pytest.approx(paid, rel=1e-12)
        assert revenue.customer_rewards.sum() == pytest.approx(12 * one, rel=1e-12)
        profit = paid - COST_SHARE * (lines.lines.quantity * lines.base_price).sum()
        assert two * margin.reward_scale == pytest.approx(profit, rel=1e-9)
        assert info["revenue"] == pytest.approx(paid)
        assert info["sensitive.revenue"] + info["insensitive.revenue"] == pytest.approx(paid)
        assert info["mean_coupon"] == pytest.approx(0.1 * t)
        if lines.units:
            assert info["redeemed_coupon"] == pytest.approx(0.1 * t)


def test_a_coupon_is_taken_off_the_shelf_price():
    env = make(horizon=30)
    env.reset(seed=0)
    arms = np.arange(12) % 11
    seen = 0
    for _ in range(30):
        shelf = env._price_i
        env.step(arms)
        lines = env.outcome.lines
        expected = (1 - COUPON_LEVELS[arms[lines.customer]]) * shelf[lines.product]
        assert env.outcome.unit_price == pytest.approx(expected)
        seen += lines.product.size
    assert seen > 50


class Scripted:
    """A kernel whose customers buy by script, whatever they like."""

    name = "scripted"

    def __init__(self, seed):
        self.seed = seed

    def weeks(self, world, requests):
        return [self.week(world, *request) for request in requests]

    def week(self, world, memory, offer, episode_key, week):
        generator = np.random.default_rng([self.seed, week])
        bought = np.flatnonzero(generator.random(world.n_customers) < 0.6)
        product = generator.integers(world.n_products, size=bought.size)
        quantity = generator.integers(1, 4, size=bought.size)
        lines = Purchases(bought, world.category_of_product[product], product, quantity)
        visited = np.isin(np.arange(world.n_customers), bought)
        return PlainMemory(visited, np.ones(world.n_customers), np.ones(world.n_customers)), lines


def other_tastes(world):
    """The same shop with other customers: every coefficient that no retailer sees changed."""
    generator = np.random.default_rng(5)
    return replace(
        world,
        beta_u=world.beta_u * 3.0, beta_i=world.beta_i - 1.0, theta=world.theta * 0.1,
        coefficients=replace(
            world.coefficients, beta_x=generator.permuted(world.beta_x), beta_z=world.beta_z + 1
        ),
        z=world.z + 0.3,
        gamma_store_0=world.gamma_store_0 - 1, gamma_store_1=2.0, gamma_store_2=0.1,
        gamma_cate_0=world.gamma_cate_0 + 2, gamma_prod_0=world.gamma_prod_0 + 1,
    )  # fmt: skip


@pytest.mark.parametrize("preset", SETTINGS)
def test_observation_knows_transactions_only(preset):
    world = make_world(preset, **SMALL)
    arms = np.random.default_rng(1).integers(11, size=(6, 12))

    def seen(world, script):
        env = RetailCouponEnv(world, horizon=6, kernel=Scripted(script))
        rows = [env.reset(seed=4)[0]]
        return np.stack(rows + [env.step(arm)[0] for arm in arms])

    assert np.array_equal(seen(world, 0), seen(other_tastes(world), 0))
    assert not np.array_equal(seen(world, 0), seen(world, 1))  # other transactions are seen


def test_figures_by_hand():
    env = make(kernel=Scripted(3), horizon=8, burn_in=2)
    env.reset(seed=0)
    quantity, lines, shelf, base = (np.zeros((10, 12)) for _ in range(4))
    coupon = np.zeros((10, 12))
    for t in range(8):
        price = env._price_i.copy()
        arm = np.full(12, t)
        observation, *_ = env.step(arm)
        sold = env.outcome.lines
        quantity[t, sold.customer], lines[t, sold.customer] = sold.quantity, 1
        shelf[t, sold.customer] = price[sold.product]
        base[t, sold.customer] = 1 - price[sold.product] / env.world.base_price[sold.product]
        coupon[t, sold.customer] = COUPON_LEVELS[t]
    assert np.array_equal(column(observation, "units"), quantity[7].astype(np.float32))
    assert column(observation, "shelf_price") == pytest.approx(env._price_i.mean(), rel=1e-6)
    # Records begin with the burn-in; its two weeks are the scripted ones of weeks 1 and 2.
    records = env._records
    assert records.weeks == 10
    assert (records.units >= quantity.sum(axis=0)).all()
    fresh = make(kernel=Scripted(3), horizon=8)
    fresh.reset(seed=0)
    quantity[:], lines[:], shelf[:], base[:], coupon[:] = 0, 0, 0, 0, 0
    for t in range(8):
        price = fresh._price_i.copy()
        observation, *_ = fresh.step(np.full(12, t))
        sold = fresh.outcome.lines
        quantity[t, sold.customer], lines[t, sold.customer] = sold.quantity, 1
        shelf[t, sold.customer] = price[sold.product]
        base[t, sold.customer] = 1 - price[sold.product] / fresh.world.base_price[sold.product]
        coupon[t, sold.customer] = COUPON_LEVELS[t]
    n = lines.sum(axis=0)
    assert (n > 0).all()
    assert column(observation, "mean_price") == pytest.approx(shelf.sum(0) / n, rel=1e-6)
    assert column(observation, "mean_discount") == pytest.approx(base.sum(0) / n, abs=1e-6)
    assert column(observation, "purchase_share") == pytest.approx(n / 8, rel=1e-6)
    assert column(observation, "units_per_purchase") == pytest.approx(quantity.sum(0) / n, rel=1e-6)
    with_coupon = lines[1:].sum(axis=0)  # the first week's arm is 0
    assert column(observation, "mean_redeemed_coupon") == pytest.approx(
        coupon.sum(0) / with_coupon, rel=1e-6
    )


def test_customers_without_a_line_get_the_mean_of_the_others():
    zero = np.zeros(3)
    records = CustomerRecords(4, zero, zero + 1, zero, np.array([2.0, 0.0, 1.0]),
                              np.array([6.0, 0.0, 5.0]), zero, zero, zero)  # fmt: skip
    observation = records.observation(np.zeros((3, 3)))
    assert column(observation, "mean_price").tolist() == [3.0, 4.0, 5.0]
    assert column(observation, "mean_redeemed_coupon").tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("preset", SETTINGS)
def test_marketing_seen_is_the_marketing_that_drives_visits(preset):
    world = make_world(preset, **SMALL)
    simulator = Simulator(world, 9)
    discount = np.linspace(0.0, 0.5, world.n_products)
    coupon = np.linspace(0.0, 0.5, 12)
    simulator.step(world.base_price, coupon_u=coupon)
    seen = coming_week(world, 9, 2, discount, world.base_price, coupon, np.zeros(12))[:, 1]
    driving = np.broadcast_to(simulator.marketing(discount[None, :], 2), 12)
    scale = 1.0 if world.marketing == "noise" else world.marketing_scale
    assert seen * scale == pytest.approx(driving, rel=1e-12)
    if preset == "coupon_driven":
        assert seen == pytest.approx(discount.mean() + coupon)  # last week's coupon is in it


def test_same_seed_same_episode_and_luck_does_not_depend_on_the_arms():
    logs = [play(make("coupon_driven"), UniformCoupons(), seed=5) for _ in range(2)]
    for one, two in zip(*logs, strict=True):
        assert np.array_equal(one, two)
    other = play(make("coupon_driven"), lambda x, _: np.zeros(len(x), dtype=int), seed=5)
    names = [name for name, _, _ in CUSTOMER_FEATURES]
    for name in ("shelf_price", "product_feature"):
        k = names.index(name)
        assert np.array_equal(logs[0].contexts[..., k], other.contexts[..., k])


def test_snapshot_returns_to_the_same_future():
    env = make("coupon_driven", horizon=8, burn_in=2)
    env.reset(seed=1)
    now, *_ = env.step(np.full(12, 4))
    state = env.snapshot()
    futures = []
    for attempt in range(3):
        rows = [env.restore(state) if attempt else now]
        rows += [env.step(np.arange(12) % 11)[0] for _ in range(7)]
        futures.append(np.stack(rows))
        with pytest.raises(ResetNeeded, match="8 weeks"):
            env.step(np.zeros(12, dtype=int))
    assert np.array_equal(futures[0], futures[1])
    assert np.array_equal(futures[0], futures[2])


def test_a_pool_draws_its_stores_by_seed():
    env = make(world_seeds=range(20, 24))
    seen = []
    for _ in range(12):
        env.reset(seed=None if seen else 0)
        seen.append(env.world.seed)
    assert set(seen) <= set(range(20, 24))
    assert len(set(seen)) > 1
    again = make(world_seeds=range(20, 24))
    again.reset(seed=0)
    assert again.world.seed == seen[0]
    assert env.reward_scale == env.world.reward_scale
    assert np.array_equal(env.segments[0], env.world.segment_customers(2)[0])


@pytest.mark.parametrize(("action", "message"), [
    (np.zeros(11, dtype=int), "shape"),
    (np.zeros(12), "type float64"),
    (np.full(12, 11), "0..10"),
    (np.full(12, -1), "0..10"),
    (np.zeros((12, 1), dtype=int), "shape"),
])  # fmt: skip
def test_strange_actions_are_refused(action, message):
    env = make()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(action)
    assert env._running().week == 0


def test_clear_errors():
    with pytest.raises(ResetNeeded):
        make().step(np.zeros(12, dtype=int))
    with pytest.raises(ValueError, match="revenue, margin"):
        make(reward="revenu")
    with pytest.raises(ValueError, match="at least one seed"):
        make(world_seeds=[])
    with pytest.raises(TypeError, match="horizont"):
        make(horizont=3)
    for seed in (-1, 2**63, 1.5, "3"):
        with pytest.raises(ValueError, match="world_seeds must be"):
            make(world_seeds=[0, seed])
    with pytest.raises(ValueError, match="not both"):
        make(world_seeds=range(3), world_seed=0)
    with pytest.raises(ValueError, match=r"coupon_views\.play"):
        evaluate("RetailSynthCoupons-v0", {"none": lambda x, week: x}, weeks=2, seeds=[0], **SMALL)
    for use in (CustomerVectorEnv, lambda env: play(env, UniformCoupons(), 0)):
        with pytest.raises(ValueError, match="expected a coupon environment"):
            use(gym.make("CartPole-v1"))
    with pytest.raises(ValueError, match="share one seed"):
        CustomerVectorEnv(make()).reset(seed=[0] * 12)


def test_wrapped_environments_are_played_as_they_are():
    made = gym.make("RetailSynthCoupons-v0", horizon=4, **SMALL)
    assert made is not made.unwrapped
    logs = [play(env, UniformCoupons(), seed=3) for env in (made, make(horizon=4))]
    assert np.array_equal(logs[0].rewards, logs[1].rewards)
    vector = CustomerVectorEnv(made)
    observation, _ = vector.reset(seed=3)
    assert np.array_equal(observation, logs[0].contexts[0])
    for t in range(4):
        _, rewards, *_ = vector.step(logs[0].arms[t])
        assert np.array_equal(rewards, logs[0].rewards[t])


def test_random_coupons_are_not_the_draws_of_the_environment():
    policy, many = UniformCoupons(seed=7), np.zeros((200, 9))
    first = policy(many, 1)
    assert not np.array_equal(first, np.random.default_rng(7).integers(11, size=200))
    policy.reset(7)
    assert np.array_equal(policy(many, 1), first)
    policy.reset(8)
    assert not np.array_equal(policy(many, 1), first)
    policy.reset(None)
    drawn = policy(many, 1)
    policy.reset(None)
    assert not np.array_equal(policy(many, 1), drawn)  # by chance once in 11^200
