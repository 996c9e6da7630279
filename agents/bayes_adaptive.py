"""A Bayesian learner of depth and frequency for ``RetailSynthAdaptive-v0``. NumPy only.

Training visits the stores of the training pool under random actions and learns what stores have
in common: the law of their coefficients (:mod:`agents.response`) and the noise of a week, by
expectation maximisation. In an unknown store the learner starts from that law, updates it after
every week and takes the action that is best for the weeks that are left: by its mean belief, or
by a draw from it (Thompson 1933), which explores. Late in an episode the plan gives up customers
who would only come back after the end.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents.card import POLICY, finish, new_card, open_run, read_card
from agents.recipes import changed
from agents.registry import check_ignored
from agents.response import SIZE, Beliefs, Weeks, expected_margin, first_then, visits
from agents.tasks import task_id, training_seed
from retail_gym.config import atomic_write, check_choice, check_finite, check_int
from retail_gym.envs.adaptive import RetailAdaptiveEnv
from retail_gym.evaluation.search import FINE_GRID
from retail_gym.world.storage import read_arrays

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

__all__ = ["EXPLORATION", "BayesAdaptive", "load", "train"]

#: How the learner decides: by its mean belief, or by a draw from its beliefs.
EXPLORATION: Final = ("greedy", "thompson")
_FIELDS: Final = ("depth", "frequency", "visit_share", "elapsed", "margin")
_STEPS: Final = 10_000
#: Of Thompson draws, chosen on training stores: a full draw explores more than it earns.
_WIDTH: Final = 0.3
_ROUNDS: Final = 8

_GRID: Final = np.array(FINE_GRID)


class BayesAdaptive:
    """Learns a store while pricing it.

    Args:
        prior: beliefs about a store nobody has seen.
        columns: position of each of depth, frequency, visit_share, elapsed and margin in the
            observation.
        horizon: weeks of an episode, where the observation does not tell yet.
        exploration: one of :data:`EXPLORATION`.
        width: standard deviations of a Thompson draw, in those of the beliefs.

    Raises:
        ValueError: for another exploration or a width below 0.
    """

    def __init__(
        self,
        prior: Beliefs,
        columns: Mapping[str, int],
        horizon: int,
        exploration: str = "thompson",
        width: float = _WIDTH,
    ) -> None:
        check_choice("exploration", exploration, EXPLORATION)
        self.prior = prior
        self.exploration = exploration
        self.width = check_finite("width", width, 0.0)
        self._columns = [check_int(name, columns[name], 0) for name in _FIELDS]
        self._horizon = check_int("horizon", horizon, 1)
        self.reset(0)

    def __repr__(self) -> str:
        return f"BayesAdaptive(exploration={self.exploration!r})"

    def reset(self, seed: int) -> None:
        """Forget the store; the seed is that of the Thompson draws."""
        self._rng = np.random.default_rng([seed, 0xBA7E5])
        self._seen: list[Floats] = []
        self.beliefs = self.prior

    def __call__(self, observation: Floats32, week: int) -> Floats32:
        """The action of week 1, 2, ... of an episode."""
        if week == 1:
            self._seen = []
        row = np.asarray(observation, dtype=np.float64)[self._columns]
        self._seen.append(row)
        depth, frequency, share, elapsed, _ = row
        if week == 1 and share == 1.0 and depth == frequency == 0.0 and row[4] == 0.0:
            self.beliefs = self.prior  # no burn-in: nothing has been sold
        else:
            self.beliefs = self.prior.update(_weeks(np.array(self._seen)))
        horizon = self._horizon if elapsed <= 0.0 else round((week - 1) / elapsed)
        w = self.beliefs.mean
        if self.exploration == "thompson":
            root = np.linalg.cholesky(self.beliefs.covariance + 1e-10 * np.eye(SIZE))
            w = w + self.width * root @ self._rng.standard_normal(SIZE)
        left = max(1, horizon - week + 1)
        best = first_then(w, float(share), np.array([depth, frequency]), _GRID, left)
        action: Floats32 = _GRID[best].astype(np.float32)
        return action


def _weeks(rows: Floats) -> Weeks:
    """Consecutive observations of one store; of the first the week before is not known."""
    action, share = rows[:, :2], rows[:, 2]
    return Weeks(
        last=np.append(np.nan, share[:-1]),
        before=np.concatenate([action[:1], action[:-1]]),
        action=action,
        visits=share,
        margin=rows[:, 4],
    )


def _join(parts: Sequence[Weeks]) -> Weeks:
    names = ("last", "before", "action", "visits", "margin")
    return Weeks(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class _Explorer:
    """Uniform actions, each kept for a geometric time: both quick and lasting answers are seen."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 0xE7])
        self._action = np.zeros(2, dtype=np.float32)

    def __call__(self) -> Floats32:
        if self._rng.random() < 0.4:
            self._action = np.array([0.5, 0.6], np.float32) * self._rng.random(2, np.float32)
        return self._action


def _collect(env: RetailAdaptiveEnv, columns: Sequence[int], steps: int, seed: int) -> list[Weeks]:
    """Episodes of exploration, joined by store."""
    parts: dict[int, list[Weeks]] = {}
    for k in range(-(-steps // env.horizon)):
        luck = training_seed(seed, k)
        explore = _Explorer(luck)
        observation, _ = env.reset(seed=luck)
        rows = [observation]
        for _ in range(env.horizon):
            observation, *_ = env.step(explore())
            rows.append(observation)
        table = np.array(rows, dtype=np.float64)[:, columns]
        parts.setdefault(env.store, []).append(_weeks(table[0 if env.burn_in else 1 :]))
    return [_join(parts[store]) for store in sorted(parts)]


def _fit(stores: Sequence[Weeks]) -> Beliefs:
    """The law of the coefficients over stores, by expectation maximisation."""
    wide = np.concatenate([[3.0, 20.0, 3.0, 30.0, 60.0], [0.3], np.full(SIZE - 6, 30.0)])
    start = np.concatenate([[-1.5, 10.0, 1.0], np.zeros(SIZE - 3)])
    prior = Beliefs(start, np.diag(wide**2), 1e-2, 1e-3)
    for _ in range(_ROUNDS):
        found = [prior.update(weeks, iterations=20) for weeks in stores]
        means = np.array([one.mean for one in found])
        mean = means.mean(axis=0)
        spread = (means - mean).T @ (means - mean) / len(found)
        spread = spread + np.mean([one.covariance for one in found], axis=0)
        noise = np.mean([_noise(w, weeks) for w, weeks in zip(means, stores, strict=True)], axis=0)
        prior = Beliefs(mean, spread, float(noise[0]), float(noise[1]))
    return prior


def _noise(w: Floats, weeks: Weeks) -> tuple[float, float]:
    """Mean squared residuals of the visits and margins of one store, in units of their scale."""
    seen = np.isfinite(weeks.last)
    share, _ = visits(w, weeks.last[seen], weeks.before[seen], weeks.action[seen])
    visit = (weeks.visits[seen] - share) ** 2 / np.maximum(share * (1.0 - share), 0.01)
    margin = weeks.margin - expected_margin(w, weeks.visits, weeks.action)
    return float(visit.mean()), float((margin**2 / np.maximum(weeks.visits, 0.01)).mean())


def train(
    task: str = "RetailSynthAdaptive-v0",
    *,
    seed: int = 0,
    steps: int | None = None,
    directory: Path,
    resume: bool = False,
    env_kwargs: Mapping[str, Any] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    **ignored: Any,
) -> BayesAdaptive:
    """Learn the law of stores from a pool, and write the policy and its card.

    Args:
        task: an id over a pool of stores, with one segment.
        seed: of the exploration.
        steps: weeks to see; default 10,000.
        directory: where ``policy.npz`` and ``card.json`` go.
        resume: whether a run in the folder is made again; it has nothing to go on from.
        env_kwargs: arguments of the environment, among them ``pool``: stores to learn from.
        hyperparameters: of the policy: ``exploration``, one of :data:`EXPLORATION`, and
            ``width``, of Thompson draws.
        **ignored: options that only other learners have.

    Returns:
        The policy.

    Raises:
        ValueError: for a task without a pool of stores, or with segments.
    """
    check_ignored(ignored)
    clock, cpu = time.perf_counter(), time.process_time()
    kw = changed({"exploration": "thompson", "width": _WIDTH}, hyperparameters)
    count = check_int("steps", _STEPS if steps is None else steps, 1)
    check_choice("exploration", kw["exploration"], EXPLORATION)
    check_finite("width", kw["width"], 0.0)
    env: Any = gym.make(task_id(task), disable_env_checker=True, **dict(env_kwargs or {})).unwrapped
    if not isinstance(env, RetailAdaptiveEnv) or len(env.segments) != 1:
        raise ValueError(f"{task} with one segment and a pool of stores is what this agent learns")
    columns = {name: env.observation_names.index(name) for name in _FIELDS}
    folder = Path(directory)
    card = new_card(
        "bayes_adaptive", task, seed=seed, steps=count, env=env_kwargs or {}, hyperparameters=kw,
        changes=hyperparameters,
    )  # fmt: skip
    open_run(folder, card, resume)
    stores = _collect(env, [columns[name] for name in _FIELDS], count, seed)
    prior = _fit(stores)
    with atomic_write(folder / POLICY) as stream:
        np.savez(
            stream,
            mean=prior.mean,
            covariance=prior.covariance,
            noise=np.array([prior.visit_noise, prior.margin_noise]),
        )
    finish(
        folder, card, stores=len(stores), columns=columns, horizon=env.horizon,
        wall_seconds=time.perf_counter() - clock, cpu_seconds=time.process_time() - cpu,
    )  # fmt: skip
    return BayesAdaptive(prior, columns, env.horizon, **kw)


def load(directory: Path) -> BayesAdaptive:
    """The policy written by :func:`train`.

    Raises:
        FileNotFoundError: if the folder holds no such policy.
        ValueError: if it is damaged or of another agent.
    """
    folder = Path(directory)
    arrays, card = read_arrays(folder / POLICY), read_card(folder)
    if card.get("agent") != "bayes_adaptive":
        raise ValueError(f"{folder} holds {card.get('agent')!r}, not bayes_adaptive")
    mean, covariance = arrays.get("mean"), arrays.get("covariance")
    if mean is None or mean.shape != (SIZE,) or covariance is None:
        raise ValueError(f"{folder / POLICY} is not of this release: train the agent again")
    prior = Beliefs(mean, covariance, *arrays["noise"].tolist())
    return BayesAdaptive(prior, card["columns"], card["horizon"], **card["hyperparameters"])
