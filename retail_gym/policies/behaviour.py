"""Policies that act at random and know the law of what they do: for logs, and their evaluation.

::

    env = gym.make("RetailSynthMargin-v0")
    behaviour = Gaussian(scenario("III"), env.action_space, sd=(0.05, 0.06))
    action, propensity = behaviour.decide(observation, week)

A behaviour is a policy like any other, ``behaviour(observation, week)``. It works at the level of
the store (depth and frequency, or a number of a :class:`~retail_gym.envs.discrete.PriceGrid`) and
of the customer (an arm for each); the space says which. With several segments or customers their
actions are independent given the observation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from retail_gym.config import check_finite
from retail_gym.envs.coupon_views import policy_stream
from retail_gym.envs.discrete import PriceGrid
from retail_gym.policies.base import bind_policy, reset_policy
from retail_gym.policies.laws import Categorical, Law, Mixture, TruncatedNormal, UniformBox

Floats = NDArray[np.float64]

__all__ = ["Behaviour", "Chosen", "EpsilonGreedy", "Gaussian", "OnGrid", "Softmax", "Uniform"]

_DRAWS: Final = 0xBE  # the stream of a behaviour's actions

#: Scores of the actions, shape (..., K), of an observation and a week.
Scores = Callable[[Any, int], ArrayLike]


class Chosen(NamedTuple):
    """An action and how probable it was."""

    action: NDArray[Any]
    propensity: Floats  # of each independent part: (), (S,) or (U,)
    probabilities: Floats | None  # of all actions, (..., K); None where they are a continuum


class Behaviour(ABC):
    """A random policy with known propensities.

    Args:
        space: actions of the environment.
    """

    def __init__(self, space: gym.Space[Any]) -> None:
        self.space = space
        self.inner: Any = None  # a policy that this one is built around
        self._rng = policy_stream(0, _DRAWS)

    @abstractmethod
    def law(self, observation: NDArray[Any], week: int) -> Law:
        """The law of this week's action. Ask once a week, in order: a policy may remember."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Name and settings, for a log's metadata."""

    @property
    def definition(self) -> str:
        """What a propensity is."""
        if isinstance(self.space, spaces.Box):
            return "density with respect to the product of depths and frequencies, natural units"
        return "probability"

    def __repr__(self) -> str:
        settings = ", ".join(f"{k}={v}" for k, v in self.describe().items() if k != "behaviour")
        return f"{type(self).__name__}({settings})"

    def reset(self, seed: int) -> None:
        """Start an episode: the stream of actions of a seed, apart from the environment's."""
        self._rng = policy_stream(seed, _DRAWS)
        reset_policy(self.inner, seed)

    def bind(self, env: Any) -> None:
        """Hand the running environment to the policy within, where that asks for it."""
        bind_policy(self.inner, env)

    def decide(self, observation: NDArray[Any], week: int) -> Chosen:
        """Draw this week's action."""
        law = self.law(observation, week)
        action = law.sample(self._rng)
        probabilities = law.probabilities if isinstance(law, Categorical) else None
        return Chosen(action, law.propensity(action), probabilities)

    def __call__(self, observation: NDArray[Any], week: int) -> NDArray[Any]:
        return self.decide(observation, week).action

    def propensity(self, observation: NDArray[Any], action: ArrayLike, week: int) -> Floats:
        """Probability or density of an action in this week, whoever took it."""
        return self.law(observation, week).propensity(action)


def _choices(space: gym.Space[Any]) -> tuple[int, ...]:
    """Shape of the probabilities of a finite space: (K,) or (S, K)."""
    if isinstance(space, spaces.Discrete) and space.start == 0:
        return (int(space.n),)
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        sizes = {int(n) for n in space.nvec}
        if len(sizes) == 1 and not space.start.any():
            return (len(space.nvec), sizes.pop())
    raise ValueError(
        f"{space} does not number the same actions 0..K-1 for everybody: use a coupon "
        "environment, or DiscretePricing around a pricing environment"
    )


def _box(space: gym.Space[Any]) -> spaces.Box[np.float32]:
    if isinstance(space, spaces.Box) and np.isfinite(space.low).all():
        return space
    raise ValueError(f"{space} is no box of depths and frequencies in natural units")


class Uniform(Behaviour):
    """All actions alike: of a box by area, of a finite space by number."""

    def __init__(self, space: gym.Space[Any]) -> None:
        super().__init__(space)
        self._law: Law
        if isinstance(space, spaces.Box):
            self._law = UniformBox(_box(space).low, _box(space).high)
        else:
            shape = _choices(space)
            self._law = Categorical(np.full(shape, 1.0 / shape[-1]))

    def describe(self) -> dict[str, Any]:
        return {"behaviour": "uniform"}

    def law(self, observation: NDArray[Any], week: int) -> Law:
        return self._law


class OnGrid:
    """A policy in natural units as one that chooses numbers: the nearest pair of the grid.

    Args:
        policy: ``policy(observation, week)`` gives ``[depth, frequency]`` for all segments, or
            for each.
        grid: of the environment, ``env.grid``. Distances are in steps of the action box.
    """

    def __init__(self, policy: Any, grid: PriceGrid) -> None:
        if grid.joint and grid.segments > 1:
            raise ValueError("a joint grid has no nearest pair for each segment: use joint=False")
        self.policy, self.grid = policy, grid

    def __repr__(self) -> str:
        return f"OnGrid({self.policy!r})"

    def reset(self, seed: int) -> None:
        """Reset the policy within."""
        reset_policy(self.policy, seed)

    def bind(self, env: Any) -> None:
        """Bind the policy within."""
        bind_policy(self.policy, env)

    def distances(self, observation: NDArray[Any], week: int) -> Floats:
        """Squared distance of every pair from the policy's action, the box's sides 1."""
        wanted = np.asarray(self.policy(observation, week), dtype=np.float64)
        pairs = self.grid.pairs.astype(np.float64)
        side = pairs.max(axis=0)
        side[side == 0.0] = 1.0
        apart = (pairs - wanted.reshape(-1, 1, 2)) / side
        # Without depth or frequency there is no discount, whatever the other number says.
        idle = (wanted.reshape(-1, 2) == 0.0).any(axis=1)
        apart[idle] = pairs / side
        square = (apart**2).sum(axis=-1)
        return (
            square[0]
            if self.grid.segments == 1
            else np.broadcast_to(square, (self.grid.segments, len(pairs)))
        )

    def __call__(self, observation: NDArray[Any], week: int) -> NDArray[np.int64]:
        return np.asarray(self.distances(observation, week).argmin(axis=-1), dtype=np.int64)


class EpsilonGreedy(Behaviour):
    r"""A policy's own action with probability :math:`1-\varepsilon`, else a uniformly random one.

    :math:`P(a) = (1-\varepsilon)\,1\{a = a^*\} + \varepsilon / K`: finitely many actions only.

    Args:
        policy: ``policy(observation, week)`` gives whole numbers of the space; around one in
            natural units put :class:`OnGrid`.
        space: of the actions, finite.
        epsilon: in [0, 1]; 0 is the policy itself.
    """

    def __init__(self, policy: Any, space: gym.Space[Any], epsilon: float) -> None:
        super().__init__(space)
        self.inner, self._shape = policy, _choices(space)
        self.epsilon = check_finite("epsilon", epsilon, 0.0, 1.0)

    def describe(self) -> dict[str, Any]:
        return {"behaviour": "epsilon-greedy", "policy": repr(self.inner), "epsilon": self.epsilon}

    def law(self, observation: NDArray[Any], week: int) -> Law:
        p = np.full(self._shape, self.epsilon / self._shape[-1])
        chosen = np.asarray(self.inner(observation, week))
        if chosen.shape != self._shape[:-1] or chosen.dtype.kind not in "iu":
            raise ValueError(
                f"{self.inner!r} must choose whole numbers of {self.space}, it gave {chosen!r}"
            )
        index = chosen[..., None]
        np.put_along_axis(
            p, index, np.take_along_axis(p, index, axis=-1) + (1.0 - self.epsilon), axis=-1
        )
        return Categorical(p)


class Softmax(Behaviour):
    r"""Boltzmann's law, :math:`P(a) \propto \exp(\text{score}_a / T)`.

    Args:
        scores: ``scores(observation, week)``, shape (..., K): predicted rewards, say
            ``lambda o, week: network.predict(o)``.
        space: of the actions, finite.
        temperature: T > 0, in the units of the scores; small is greedy.
        name: of the scores, for the metadata.
    """

    def __init__(
        self, scores: Scores, space: gym.Space[Any], temperature: float, name: str = "scores"
    ) -> None:
        super().__init__(space)
        self._scores, self._shape, self._name = scores, _choices(space), name
        self.temperature = check_finite("temperature", temperature, 1e-12)

    @staticmethod
    def around(policy: OnGrid, space: gym.Space[Any], temperature: float) -> Softmax:
        """Grid pairs near a policy's action more often: the score is minus the distance squared.

        Args:
            policy: on the grid.
            space: of the grid.
            temperature: of squared distances, the sides of the action box 1.
        """
        made = Softmax(
            lambda observation, week: -policy.distances(observation, week),
            space,
            temperature,
            f"nearness to {policy.policy!r}",
        )
        made.inner = policy
        return made

    def describe(self) -> dict[str, Any]:
        return {"behaviour": "softmax", "policy": self._name, "temperature": self.temperature}

    def law(self, observation: NDArray[Any], week: int) -> Law:
        score = np.asarray(self._scores(observation, week), dtype=np.float64) / self.temperature
        if score.shape != self._shape or not np.isfinite(score).all():
            raise ValueError(f"scores must be finite and of shape {self._shape}, got {score.shape}")
        weight = np.exp(score - score.max(axis=-1, keepdims=True))
        return Categorical(weight / weight.sum(axis=-1, keepdims=True))


class Gaussian(Behaviour):
    """Depth and frequency around a policy's, normal within the action box.

    Args:
        policy: ``policy(observation, week)`` gives ``[depth, frequency]`` for all segments, or
            for each.
        space: the action box.
        sd: standard deviations of depth and frequency before the cut to the box, > 0.
        epsilon: share of weeks with a uniformly random action instead, in [0, 1].
    """

    def __init__(
        self, policy: Any, space: gym.Space[Any], sd: Sequence[float], epsilon: float = 0.0
    ) -> None:
        super().__init__(space)
        box = _box(space)
        self.inner, self.sd = policy, tuple(check_finite("sd", s, 1e-6) for s in sd)
        if len(self.sd) != 2:
            raise ValueError(f"sd needs two numbers, of depth and of frequency, got {sd!r}")
        self.epsilon = check_finite("epsilon", epsilon, 0.0, 1.0)
        self._low, self._high = box.low, box.high
        self._segments = box.low.size // 2

    def describe(self) -> dict[str, Any]:
        return {
            "behaviour": "gaussian",
            "policy": repr(self.inner),
            "sd": list(self.sd),
            "epsilon": self.epsilon,
        }

    def law(self, observation: NDArray[Any], week: int) -> Law:
        mean = np.asarray(self.inner(observation, week), dtype=np.float64)
        if mean.shape == (2,):
            mean = np.tile(mean, self._segments)
        if mean.shape != self._low.shape or not np.isfinite(mean).all():
            raise ValueError(
                f"{self.inner!r} must give {self._low.size} depths and frequencies, got {mean!r}"
            )
        mean = np.clip(mean, self._low, self._high)
        normal = TruncatedNormal(mean, np.tile(self.sd, self._segments), self._low, self._high)
        if self.epsilon == 0.0:
            return normal
        return Mixture(normal, UniformBox(self._low, self._high), self.epsilon)
