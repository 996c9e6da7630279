"""The same question asked correctly: fresh stores and customers, agents that value the future.

Agents learn in stores 10,000 and up and are scored in stores 0, 1, ..., whose customers they have
never met: 50 weeks under uniform random coupons fill the records, and the next 20 weeks count,
without a restart. Everybody meets the same luck. PPO and DQN look ahead (gamma 0.99); rewards
are in units of each store's own R0, so that no store counts more than another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from agents.coupon_training import TRAINING_STORES, coupon_env, log_uniform, samples_of
from agents.linear_arms import LinearArms
from agents.linucb import LinUCB
from agents.neural_boltzmann import NeuralBoltzmann
from agents.thompson import LinearThompson
from experiments.coupons.deep import train_deep
from experiments.coupons.episodes import Policy, SegmentRule, run
from experiments.coupons.references import FarSightedOracle, Knowledge, Oracle, StaticRule
from retail_gym.envs.coupon_views import FixedArm, UniformCoupons
from retail_gym.envs.coupons import COUPON_LEVELS, RetailCouponEnv

__all__ = ["SETTINGS", "score", "train_all"]

SETTINGS: Final = ("coupon_brand_loyalty", "coupon_driven")
WEEKS_LOGGED: Final = 50
WEEKS_SCORED: Final = 20


def train_all(
    setting: str, runs: int, logged: int, deep_steps: int, directory: Path
) -> dict[tuple[str, int], Policy]:
    """Train every agent of the table.

    Args:
        setting: name of the preset.
        runs: training seeds.
        logged: customer-weeks of the bandits' log.
        deep_steps: customer-weeks of PPO and DQN.
        directory: where deep agents are kept; one found there is not trained again.

    Returns:
        Policies by agent and run.
    """
    policies: dict[tuple[str, int], Policy] = {}
    options = {"preset": setting, "world_seeds": TRAINING_STORES}
    for r in range(runs):
        env = coupon_env("RetailSynthCoupons-v0", horizon=WEEKS_LOGGED + WEEKS_SCORED, **options)
        contexts, arms, rewards = samples_of(log_uniform(env, logged, seed=r))
        model = LinearArms.standardised(contexts, COUPON_LEVELS.size)
        model = model.updated(contexts, arms, rewards)
        policies["LinTS", r] = LinearThompson(model, 0.1, seed=r)
        policies["LinUCB", r] = LinUCB(model, 0.1)
        network = NeuralBoltzmann.untrained(contexts, COUPON_LEVELS.size, seed=r)
        network.fit(contexts, arms, rewards, seed=r)
        policies["NeuralBoltzmann", r] = network
        for name in ("PPO", "DQN"):
            policies[name, r] = train_deep(
                name, seed=r, steps=deep_steps, file=directory / f"{name}_{setting}_{r}", **options
            )
    return policies


def score(setting: str, store: int, trained: dict[tuple[str, int], Policy]) -> list[dict[str, Any]]:
    """Figures of every agent and reference in one fresh store, on the same luck."""
    env = RetailCouponEnv(setting, world_seed=store, burn_in=WEEKS_LOGGED, horizon=WEEKS_SCORED)
    env.reset(seed=store)
    start = env.snapshot()
    rows: list[dict[str, Any]] = []

    def play(name: str, r: int, policy: Policy) -> Any:
        observation = env.restore(start)
        figures, spent_u = run(env, policy, observation, seed=store * 1_000 + r)
        rows.append({"setting": setting, "store": store, "agent": name, "run": r, **figures})
        return spent_u

    play("random", 0, UniformCoupons())
    spent_ku = np.stack([play(f"fixed_{arm}", 0, FixedArm(arm)) for arm in range(11)])
    play("segment_rule", 0, SegmentRule(env))
    play("static_hindsight", 0, _Chosen(spent_ku.argmax(axis=0)))
    known = Knowledge(env, seed=1)
    play("static_model", 0, StaticRule(known))
    play("oracle", 0, Oracle(known))
    play("far_sighted_oracle", 0, FarSightedOracle(known))
    for (name, r), policy in trained.items():
        play(name, r, policy)
    return rows


class _Chosen:
    """An arm of each customer's own, always."""

    def __init__(self, arm_u: Any) -> None:
        self.arm_u = arm_u

    def __call__(self, observation: Any, week: int) -> Any:
        return self.arm_u
