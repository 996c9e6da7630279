"""Policies that know the model: right where the answer is known, and without foresight of luck."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from retail_gym import RetailPricingEnv, World, evaluate
from retail_gym.evaluation import paired_difference
from retail_gym.evaluation.model_policies import FarSighted, Myopic, StoreModel
from retail_gym.evaluation.response import measure_response

DEPTHS = (0.1, 0.2, 0.3, 0.4, 0.5)
NONE = [0.0, 0.0]


def store(n_products: int = 200, n_customers: int = 60, **other: float) -> World:
    """A store in which price moves nothing but what the arguments say; every base price is $1."""
    table = np.zeros((n_customers, n_products))
    price_sensitive = other.pop("price_sensitive", 0.0)
    arrays = {
        "category_sizes": [n_products // 2, n_products // 2],
        "beta_x": table, "beta_z": table, "gamma_prod_1": table,
        "beta_u": np.full(n_customers, -price_sensitive), "beta_i": np.full(n_products, -1.0),
        "c": -1.0, "Z": np.zeros(n_products), "alpha_0": np.ones(n_products), "alpha_1": 1.0,
        "base_price": np.ones(n_products), "gamma_cate_0": [0.0, 0.0], "gamma_cate_1": [0.0, 0.0],
        "gamma_store_0": 0.0, "gamma_store_1": 0.0, "gamma_store_2": 0.0,
        "theta": np.zeros(n_customers), "gamma_prod_0": np.zeros(n_products),
        "clip_percentile": 100.0,
    }  # fmt: skip
    return World.from_arrays(arrays | other, marketing_scale=30.0)


def decisions(policy, env: RetailPricingEnv, seed: int = 0) -> list[list[float]]:
    """The actions of one episode."""
    observation, _ = env.reset(seed=seed)
    policy.bind(env)
    actions = []
    for week in range(1, env.horizon + 1):
        action = policy(observation, week)
        actions.append(np.round(action.astype(float), 6).tolist())
        observation, *_ = env.step(action)
    return actions


def knowing(world: World, weeks: int = 6, **kwargs) -> tuple[RetailPricingEnv, StoreModel]:
    env = RetailPricingEnv(world, horizon=weeks, **kwargs)
    response = measure_response(world, [(d, 0.6) for d in DEPTHS], draws=3, degree=None)
    return env, StoreModel(env, response)


def test_no_discount_where_discounts_move_nothing() -> None:
    env, model = knowing(store(), reward="margin")
    for policy in (Myopic(model), FarSighted(model, model.best_plans())):
        assert decisions(policy, env) == [NONE] * 6


def test_myopic_weighs_marketing_against_margin() -> None:
    # Visits 1 / (1 + exp(3 - 30 x)), margin 0.30 - x with x = 0.6 depth: largest at depth 0.2,
    # by 5 %. In week 1 everybody comes, and nothing is to be gained.
    env, model = knowing(store(gamma_store_0=-3.0, gamma_store_2=1.0, n_products=2000, n_customers=5), reward="margin")  # fmt: skip
    x = 0.6 * np.array(DEPTHS)
    by_hand = (0.30 - x) / (1 + np.exp(3 - 30 * x))
    assert DEPTHS[int(by_hand.argmax())] == 0.2
    expected = [NONE] + [[0.2, 0.6]] * 5
    assert decisions(Myopic(model), env) == expected
    # Nothing is remembered in this store, so there is nothing to look ahead to.
    assert decisions(FarSighted(model, model.best_plans()), env) == expected


@pytest.fixture(scope="module")
def loyal():
    """Discounts sell nothing today, but who visited remembers them next week."""
    world = store(price_sensitive=4.0, gamma_store_0=-9.0, gamma_store_1=1.6)
    return world, *knowing(world)


def test_only_the_far_sighted_invests_in_loyalty(loyal) -> None:
    world, env, model = loyal
    far = FarSighted(model, model.best_plans())
    assert decisions(Myopic(model), env) == [NONE] * 6
    chosen = decisions(far, env)
    assert chosen[-1] == NONE  # no week after it
    assert all(depth > 0 for depth, _ in chosen[:-1])
    runs = evaluate(world, {"far": far, "myopic": Myopic(model)}, 6, range(12))
    # alpha = 2.5 % one-sided; the model expects far more than twice the return.
    assert paired_difference(runs, "far", "myopic").low > 0


def test_looking_at_the_store_beats_the_plan_where_few_customers_matter() -> None:
    # Two customers who stay, or are away until a discount brings them back: worth a look.
    world = store(n_customers=2, gamma_store_0=-3.0, gamma_store_1=0.9, gamma_store_2=0.5)
    _, model = knowing(world, weeks=12)
    plans = model.best_plans()
    policies = {"far": FarSighted(model, plans), "plan": model.schedule(plans)}
    runs = evaluate(world, policies, 12, range(40))
    assert paired_difference(runs, "far", "plan").low > 0  # alpha = 2.5 %, one-sided


def test_the_plan_earns_what_the_model_expects(loyal) -> None:
    world, _, model = loyal
    (plan,) = model.best_plans()
    returns = evaluate(world, {"plan": model.schedule([plan])}, 6, range(40))["return"]
    # alpha = 1e-4 for a mean of 40 (|z| < 3.9), and 1 % for the model's noise.
    error = 3.9 * returns.std() / np.sqrt(40) + 0.01 * plan.value
    assert plan.value == pytest.approx(returns.mean(), abs=error)


@pytest.mark.parametrize("kind", ["myopic", "far"])
def test_decisions_do_not_depend_on_the_luck_to_come(kind) -> None:
    # Two customers: who of them was there last week decides, as the next test shows.
    world = store(n_customers=2, gamma_store_0=-3.0, gamma_store_1=0.9, gamma_store_2=0.5)
    env, model = knowing(world)
    policy = Myopic(model) if kind == "myopic" else FarSighted(model, model.best_plans())
    observation, _ = env.reset(seed=3)
    policy.bind(env)
    for week in (1, 2, 3):
        observation, *_ = env.step(policy(observation, week))
    point, last = env.snapshot(), list(policy._last)
    chosen = []
    for key in (point.episode_key, *range(11, 31)):
        env.restore(point._replace(episode_key=key))
        policy._last = list(last)
        chosen.append(policy(observation, 4).tolist())
        env.step(np.array(chosen[-1], dtype=np.float32))
    assert chosen == [chosen[0]] * 21


def test_decisions_do_depend_on_who_came() -> None:
    # Visitors stay whatever happens, the others come back for a discount only.
    world = store(gamma_store_0=-3.0, gamma_store_1=1.5, gamma_store_2=0.5)
    env, model = knowing(world, reward="revenue")
    policy = Myopic(model)
    env.reset(seed=0)
    policy.bind(env)
    env.step(np.zeros(2, dtype=np.float32))
    everybody = policy(np.zeros(0), 2)
    assert everybody.tolist() == NONE
    object.__setattr__(env.outcome, "visited", np.zeros(60, dtype=bool))
    policy._last = [0]
    assert policy(np.zeros(0), 2)[0] > 0


def test_segments_are_decided_one_by_one() -> None:
    # The first half minds the price and remembers it, the second does not.
    beta_u = np.r_[np.full(30, -4.0), np.full(30, -0.0)]
    world = store(beta_u=beta_u, gamma_store_0=-9.0, gamma_store_1=1.6)
    env, model = knowing(world, weeks=4, segments=2)
    far = FarSighted(model, model.best_plans())
    chosen = decisions(far, env)
    assert all(action[0] > 0 and action[2:] == NONE for action in chosen[:-1])
    assert chosen[-1] == NONE * 2
    assert model.schedule(model.best_plans()).actions.shape == (4, 4)


def test_a_policy_travels_without_its_environment(loyal) -> None:
    _, env, model = loyal
    far = FarSighted(model, model.best_plans())
    before = decisions(far, env)
    copy = pickle.loads(pickle.dumps(far))
    with pytest.raises(ValueError, match=r"bind\(env\)"):
        copy(np.zeros(0), 1)
    assert decisions(copy, env) == before


def test_the_same_again(loyal) -> None:
    world, _, model = loyal
    policies = {"far": FarSighted(model, model.best_plans()), "myopic": Myopic(model)}
    one = evaluate(world, policies, 6, [1, 0])
    assert one.equals(evaluate(world, policies, 6, [1, 0]))


def test_another_episode_than_the_models_is_refused(loyal) -> None:
    world, _, model = loyal
    with pytest.raises(ValueError, match="6 weeks"):
        evaluate(world, {"m": Myopic(model)}, 5, [0])
    with pytest.raises(ValueError, match="1 segments"):
        evaluate(world, {"m": Myopic(model)}, 6, [0], segments=2)
