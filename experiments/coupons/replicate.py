"""AgentSim's Table 1 with its own protocol, on its own kind of stores and on independent ones.

Kept as it is: offline training on 50 weeks of uniform random coupons, money in dollars pooled
over stores, raw features, discount factor zero, early stopping on the loss of single batches;
evaluation for 20 weeks **in the training stores, on the training customers**, where the visit
probability starts again at 1 and the running features at 0 after the first observation; demand
counted one week late; units reported as category penetration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from agents.linear_arms import LinearArms
from agents.linucb import LinUCB
from agents.thompson import LinearThompson
from experiments.coupons.agentsim_noise import AgentSimKernel, agentsim_cap
from experiments.coupons.episodes import Policy, SegmentRule, run
from experiments.coupons.one_step import DQN, Boltzmann, GreedyPPO, OfflineData
from experiments.coupons.stores import agentsim_store
from retail_gym import World, make_world
from retail_gym.envs.coupon_views import FixedArm, UniformCoupons, play
from retail_gym.envs.coupons import COUPON_LEVELS, RetailCouponEnv
from retail_gym.kernels import Kernel

__all__ = ["STORES", "Replication", "Trained"]

WEEKS_LOGGED: Final = 50
WEEKS_SCORED: Final = 20
#: Where the table is replicated: AgentSim's shared keys and noise, and independent draws.
STORES: Final[dict[str, tuple[Callable[[int], World], Kernel | None]]] = {
    "agentsim": (lambda seed: agentsim_cap(agentsim_store(seed)), AgentSimKernel()),
    "independent": (lambda seed: make_world("coupon_brand_loyalty", seed), None),
}
#: Fixed arms in the table, beside random.
FIXED: Final = (0, 5, 10)
#: Figures that AgentSim's networks see averaged over products.
_UNITS: Final = 0


@dataclass(frozen=True)
class Trained:
    """A trained policy of one run."""

    agent: str
    run: int
    policy: Policy
    epochs: int


class Replication:
    """Stores, their logs, and what is trained on them.

    Args:
        kind: a key of ``STORES``.
        trained: how many stores to train on (AgentSim: 1,000).
        scored: how many of them, from the first, to score in (AgentSim: 100).

    Raises:
        ValueError: if more are to be scored than trained on.
    """

    def __init__(self, kind: str, trained: int, scored: int) -> None:
        if scored > trained:
            raise ValueError(
                f"{scored} stores cannot be scored: this protocol scores training stores, "
                f"and there are {trained}"
            )
        make, self._kernel = STORES[kind]
        self.worlds: list[World] = []
        self._last: list[tuple[Any, float]] = []
        contexts, arms, dollars = [], [], []
        for seed in range(trained):
            world = make(seed)
            env = RetailCouponEnv(world, horizon=WEEKS_LOGGED, kernel=self._kernel)
            log = play(env, UniformCoupons(), seed)
            contexts.append(_published(log.contexts, world))
            arms.append(log.arms)
            scale = world.reward_scale / world.n_customers
            dollars.append((log.rewards * scale).astype(np.float32))
            if seed < scored:
                # The observation and the sales at the end of the log begin the evaluation.
                last = _published(env.restore(env.snapshot()), world)
                self._last.append((last, log.infos[-1]["units"]))
                self.worlds.append(world)
        self.data = OfflineData(np.stack(contexts), np.stack(arms), np.stack(dollars))

    def train(self, runs: int) -> Iterator[Trained]:
        """Train every agent ``runs`` times (AgentSim: 10)."""
        for r in range(runs):
            yield Trained("LinTS", r, LinearThompson(self._linear(r, 0.1088), 0.8483), 2)
            yield Trained("LinUCB", r, LinUCB(self._linear(r, 0.8119), 0.7387), 2)
            for name, make in (("PPO", GreedyPPO), ("NeuralBoltzmann", Boltzmann), ("DQN", DQN)):
                policy = make(self.data, seed=r)
                yield Trained(name, r, policy, policy.epochs)

    def _linear(self, r: int, forget: float) -> LinearArms:
        """Two epochs of half the stores, raw features, ridge 1."""
        generator = np.random.default_rng([r, 0x11])
        d = self.data.contexts.shape[-1]
        model = LinearArms.empty(COUPON_LEVELS.size, d)
        for _ in range(2):
            n = len(self.data.arms)
            which = generator.choice(n, max(1, n // 2), replace=False)
            model = model.updated(
                self.data.contexts[which].reshape(-1, d),
                self.data.arms[which].reshape(-1),
                self.data.dollars[which].reshape(-1).astype(np.float64),
                forget,
            )
        return model

    def score(self, store: int, trained: list[Trained]) -> list[dict[str, Any]]:
        """Figures of every policy in one store, on the same luck."""
        world = self.worlds[store]
        env = RetailCouponEnv(world, horizon=WEEKS_SCORED, kernel=self._kernel)
        observation, units_before = self._last[store]
        fixed: list[Trained] = [Trained("random", 0, UniformCoupons(), 0)]
        fixed += [Trained(f"fixed_{arm}", 0, FixedArm(arm), 0) for arm in FIXED]
        fixed += [Trained("segment_rule", 0, SegmentRule(env), 0)]
        rows = []
        for item in (*fixed, *trained):
            env.reset(seed=10_000 + store)

            def policy(observation: Any, week: int, item: Trained = item) -> Any:
                return item.policy(
                    observation if week == 1 else _published(observation, world), week
                )

            if hasattr(item.policy, "reset"):
                item.policy.reset(store * 1_000 + item.run)
            figures, _ = run(env, policy, observation, store, units_before)
            rows.append({"store": store, "agent": item.agent, "run": item.run, **figures})
        return rows


def _published(contexts: Any, world: World) -> Any:
    """Figures in AgentSim's units: last week's purchases are a mean over products."""
    shown = np.array(contexts, dtype=np.float32)
    shown[..., _UNITS] /= world.n_products
    return shown
