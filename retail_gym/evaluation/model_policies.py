"""Policies that know the store's model: what an agent would do that had nothing to learn.

They see who visited last week and when each customer last bought, and know every coefficient;
of the weeks to come they know expectations and no luck. They bound what agents can reach.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.evaluation.planning import Chain, Plan, State, Worth
from retail_gym.evaluation.response import Response, measure_response, visit_reward
from retail_gym.outcome import RETENTION_WEEKS
from retail_gym.policies.cyclic import Schedule
from retail_gym.policies.targeted import Targeted

__all__ = ["FarSighted", "Myopic", "StoreModel"]

_LONG_AGO: Final = RETENTION_WEEKS


class StoreModel:
    """The chain of visits of each segment of an environment.

    Args:
        env: the environment; its world, segments, reward, horizon and burn-in count.
        response: a response measured before; by default measured now.

    Raises:
        ValueError: for a store or a reward that the model does not describe.
    """

    def __init__(self, env: RetailPricingEnv, response: Response | None = None) -> None:
        self.response = measure_response(env.world) if response is None else response
        reward = visit_reward(env.reward, self.response)
        self.chains = [Chain(self.response, reward, customers) for customers in env.segments]
        self.weeks, self.burn_in = env.horizon, env.burn_in

    def starts(self) -> list[State]:
        """Each segment's state before the first week that counts."""
        states = [chain.before_first_week() for chain in self.chains]
        for _ in range(self.burn_in):
            states = [c.after(state, 0) for c, state in zip(self.chains, states, strict=True)]
        return states

    def best_static(self) -> Targeted:
        """The best fixed action of each segment, as the model sees it."""
        every, best = range(len(self.response.actions)), []
        for chain, start in zip(self.chains, self.starts(), strict=True):
            values = [chain.value([k] * self.weeks, start) for k in every]
            best.append(tuple(self.response.actions[int(np.argmax(values))].tolist()))
        return Targeted(best)

    def best_plans(self) -> list[Plan]:
        """The best plan of each segment."""
        return [
            chain.best_plan(self.weeks, start)
            for chain, start in zip(self.chains, self.starts(), strict=True)
        ]

    def schedule(self, plans: list[Plan]) -> Schedule:
        """Plans as a policy that is written down beforehand."""
        return Schedule(np.concatenate([self.response.actions[p.actions_t] for p in plans], axis=1))


class _ModelPolicy:
    """Takes the action of the largest expected reward plus the worth of what it leaves behind.

    Args:
        model: the store.
    """

    def __init__(self, model: StoreModel) -> None:
        self._model = model
        self._env: RetailPricingEnv | None = None
        self._last = [0] * len(model.chains)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_env": None}

    def bind(self, env: RetailPricingEnv) -> None:
        """Look at this environment from now on; its episode has just begun.

        Raises:
            ValueError: if it differs from the model's in horizon, burn-in or segments.
        """
        model = self._model
        mine = (model.weeks, model.burn_in, [chain.customers.tolist() for chain in model.chains])
        if mine != (env.horizon, env.burn_in, [part.tolist() for part in env.segments]):
            raise ValueError(
                f"the model is of an episode of {model.weeks} weeks after {model.burn_in} of "
                f"burn-in with {len(model.chains)} segments; make it from this environment"
            )
        self._env, self._last = env, [0] * len(model.chains)

    def _worth(self, segment: int, week: int) -> Worth:
        """Worth of a segment's states after a week of the episode."""
        raise NotImplementedError

    def __call__(self, observation: NDArray[np.float32], week: int) -> NDArray[np.float32]:
        if self._env is None:
            raise ValueError(f"{self!r} knows the store: call bind(env) after env.reset()")
        outcome = self._env.outcome
        chains = self._model.chains
        for s, chain in enumerate(chains):
            if outcome is None:
                state = chain.before_first_week()
            else:
                last = outcome.last_purchase[chain.customers]
                since = np.where(last > 0, outcome.week - last, _LONG_AGO)
                state = chain.observed(outcome.visited[chain.customers], since, self._last[s])
            self._last[s] = int(chain.scores(state, self._worth(s, week)).argmax())
        return self._model.response.actions[self._last].reshape(-1).astype(np.float32)


class Myopic(_ModelPolicy):
    """Every week the action with the largest expected reward of that week."""

    def __repr__(self) -> str:
        return "Myopic()"

    def _worth(self, segment: int, week: int) -> Worth:
        return self._model.chains[segment].nothing_more()


class FarSighted(_ModelPolicy):
    """Every week the best action for the rest of the episode, if a plan is followed after it.

    In expectation at least as good as the plan, which does not look at the store.

    Args:
        model: the store.
        plans: a plan per segment, of :meth:`StoreModel.best_plans`.
    """

    def __init__(self, model: StoreModel, plans: list[Plan]) -> None:
        super().__init__(model)
        self._plans = plans
        self._worths: list[list[Worth]] | None = None

    def __repr__(self) -> str:
        return "FarSighted()"

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_worths": None}  # large, and quickly computed

    def _worth(self, segment: int, week: int) -> Worth:
        if self._worths is None:
            self._worths = [
                chain.worths(plan.actions_t)
                for chain, plan in zip(self._model.chains, self._plans, strict=True)
            ]
        return self._worths[segment][week - 1]
