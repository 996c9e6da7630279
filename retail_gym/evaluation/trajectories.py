"""What off-policy estimators read: logged weeks, and what the target policy would have done.

::

    data = trajectories(episodes, target)      # of retail_gym.data.logged.log_episodes
    estimates = off_policy(data, ("snips", "wpdis", "fqe"))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_int
from retail_gym.data.logged import LoggedEpisode
from retail_gym.envs.coupon_views import policy_stream
from retail_gym.envs.coupons import COUPON_LEVELS
from retail_gym.policies.behaviour import Behaviour

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
#: Actions as numbers that a regression can use, (...) or (..., A) -> (..., a).
Features = Callable[[NDArray[Any]], NDArray[Any]]

__all__ = ["Trajectories", "coupon_features", "trajectories"]

_SUPPORT: Final = 0x0FF  # the stream of the target's actions in logged states


def coupon_features(arms: NDArray[Any]) -> NDArray[Any]:
    """The share taken off, (..., 1)."""
    levels: Floats = COUPON_LEVELS[arms]
    return levels[..., None]


def _plain(actions: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(actions)


@dataclass(frozen=True, eq=False)
class Trajectories:
    """N logged trajectories of T weeks.

    The estimators of importance sampling read ``rewards`` and ``ratios`` alone; those with a
    model of the future also states, actions and the target's actions.

    Args:
        rewards: r, shape (N, T).
        ratios: probability (density) of the logged action under the target over that under the
            logging policy, rho, shape (N, T), >= 0.
        states: shape (N, T + 1, d), the last after the last week.
        actions: features of the logged actions, shape (N, T, a).
        target_actions: features of what the target might do, shape (M, a) where it is the same
            for all states, else (N, T + 1, M, a).
        target_weights: probability of each, shape (N, T + 1, M), sums to 1 over M.
        cluster: trajectories of the same number depend on each other and are drawn together by
            the bootstrap, shape (N,), 0..C-1; by default all are independent.

    Raises:
        ValueError: for shapes that do not fit, or values that are not finite.
    """

    rewards: Floats
    ratios: Floats
    states: NDArray[Any]
    actions: NDArray[Any]
    target_actions: NDArray[Any]
    target_weights: NDArray[Any]
    cluster: Ints | None = None

    def __post_init__(self) -> None:
        n, t = self.rewards.shape if self.rewards.ndim == 2 else (0, 0)
        if n == 0 or t == 0:
            raise ValueError(f"rewards must be of shape (N, T), got {self.rewards.shape}")
        m = self.target_weights.shape[-1]
        wanted = {"ratios": (n, t), "target_weights": (n, t + 1, m)}
        shapes = {name: getattr(self, name).shape for name in wanted}
        shapes |= {"states": self.states.shape[:2], "actions": self.actions.shape[:2]}
        wanted |= {"states": (n, t + 1), "actions": (n, t)}
        shapes |= {"target_actions": self.target_actions.shape[:-1]}
        own = self.target_actions.ndim == 4
        wanted |= {"target_actions": (n, t + 1, m) if own else (m,)}
        for name, shape in wanted.items():
            if shapes[name] != shape:
                raise ValueError(
                    f"{name} does not fit rewards of shape {(n, t)}: expected {shape}, got "
                    f"{shapes[name]}"
                )
        for name in ("rewards", "ratios", "states", "actions", "target_actions"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(
                    f"{name} hold NaN or infinite values"
                    + (": an action was logged that had probability 0" * (name == "ratios"))
                )
        if (self.ratios < 0.0).any():
            raise ValueError("ratios must not be negative")
        if self.cluster is not None and self.cluster.shape != (n,):
            raise ValueError(f"cluster must be of shape {(n,)}, got {self.cluster.shape}")

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def horizon(self) -> int:
        """T."""
        return int(self.rewards.shape[1])

    @property
    def clusters(self) -> Ints:
        """Number of each trajectory's cluster, 0..C-1, shape (N,)."""
        if self.cluster is None:
            return np.arange(len(self))
        return np.unique(self.cluster, return_inverse=True)[1]

    def part(self, rows: Any) -> Trajectories:
        """Some of the trajectories."""
        own = self.target_actions.ndim == 4
        return Trajectories(
            self.rewards[rows],
            self.ratios[rows],
            self.states[rows],
            self.actions[rows],
            self.target_actions[rows] if own else self.target_actions,
            self.target_weights[rows],
            None if self.cluster is None else self.cluster[rows],
        )

    def first_weeks(self, weeks: int) -> Trajectories:
        """The same episodes cut after some weeks.

        Raises:
            ValueError: for more weeks than there are.
        """
        t = check_int("weeks", weeks, 1, self.horizon)
        own = self.target_actions.ndim == 4
        return Trajectories(
            self.rewards[:, :t],
            self.ratios[:, :t],
            self.states[:, : t + 1],
            self.actions[:, :t],
            self.target_actions[:, : t + 1] if own else self.target_actions,
            self.target_weights[:, : t + 1],
            self.cluster,
        )

    def as_bandit(self) -> Trajectories:
        """Every week a trajectory of its own: what a bandit sees of a log.

        States are those that the logging policy led to, and later weeks do not count. Weeks of
        one trajectory stay in one cluster.
        """

        def weeks(values: NDArray[Any]) -> NDArray[Any]:
            return values.reshape(-1, 1, *values.shape[2:])

        def pairs(values: NDArray[Any]) -> NDArray[Any]:
            both = np.stack([values[:, :-1], values[:, 1:]], axis=2)
            return both.reshape(-1, 2, *values.shape[2:])

        own = self.target_actions.ndim == 4
        return Trajectories(
            weeks(self.rewards),
            weeks(self.ratios),
            pairs(self.states),
            weeks(self.actions),
            pairs(self.target_actions) if own else self.target_actions,
            pairs(self.target_weights),
            np.repeat(self.clusters, self.horizon),
        )


def trajectories(
    episodes: Sequence[LoggedEpisode],
    target: Behaviour,
    *,
    features: Features | None = None,
    draws: int = 16,
    seed: int = 0,
) -> Trajectories:
    """What the target policy would have done in logged episodes.

    Args:
        episodes: of equal length. At the level of customers every customer of an episode is a
            trajectory: what one does depends on no other's coupons, but for the mean that stands
            in for an empty record (see :class:`~retail_gym.envs.coupons.RetailCouponEnv`).
        target: the policy to evaluate, over the same action space.
        features: actions as numbers for a regression; by default the coupon's level for
            customers, depth and frequency themselves for a continuum. For a grid give
            ``env.grid.natural``.
        draws: target actions a state, where they are a continuum, for expectations.
        seed: of those draws.

    Returns:
        The trajectories, episode by episode.

    Raises:
        ValueError: for no episodes, episodes of unequal length, or an action logged with
            probability 0.
    """
    if not episodes:
        raise ValueError("give at least one logged episode")
    if len({len(episode) for episode in episodes}) > 1:
        raise ValueError("episodes must be equally long: cut them to a common number of weeks")
    customers = episodes[0].rewards.ndim == 2
    finite = episodes[0].probabilities is not None
    if features is None:
        if finite and not customers:
            raise ValueError("features of a grid's numbers are needed: features=env.grid.natural")
        features = coupon_features if customers else _plain
    generator = policy_stream(seed, _SUPPORT)
    parts: dict[str, list[NDArray[Any]]] = {}
    for episode in episodes:
        target.reset(episode.seed)
        propensities, actions, weights = [], [], []
        for t, state in enumerate(episode.observations):
            law = target.law(state, t + 1)
            if t < len(episode):
                p = law.propensity(episode.actions[t])
                propensities.append(p if customers else np.prod(p))
            if customers:
                weights.append(law.support(draws, generator)[1].T)
            else:
                chosen, weight = law.support(draws, generator)
                if finite and chosen.ndim > 1:
                    raise ValueError(
                        "several segments on a grid have too many joint actions to sum over: use "
                        "the continuous actions"
                    )
                actions.append(None if finite else features(chosen))
                weights.append(weight)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.asarray(propensities) / episode.propensities
        row: dict[str, NDArray[Any]] = {
            "rewards": episode.rewards,
            "ratios": ratios,
            "states": episode.observations,
            "actions": features(episode.actions),
            "target_weights": np.asarray(weights, dtype=np.float32),
        }
        if actions and not finite:
            row["target_actions"] = np.asarray(actions, dtype=np.float32)
        for name, values in row.items():
            values = np.moveaxis(values, 1, 0) if customers else values[None]
            parts.setdefault(name, []).append(values)
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    if finite:
        joined["target_actions"] = features(np.arange(joined["target_weights"].shape[-1]))
    return Trajectories(**joined)
