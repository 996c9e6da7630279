"""What the coupon bandits share: the offline log, online weeks, and the training itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import load_env_creator
from numpy.typing import NDArray

from agents.card import finish, new_card, open_run
from agents.recipes import changed
from agents.registry import check_ignored
from agents.tasks import task_id, training_seed
from retail_gym.config import check_int
from retail_gym.envs.coupon_views import CouponLog, UniformCoupons, joint_env, play
from retail_gym.envs.coupons import RetailCouponEnv

__all__ = ["TRAINING_STORES", "coupon_env", "log_uniform", "samples_of", "train_bandit"]

#: World seeds of the stores that agents are trained in; those below 10,000 stay for tests.
TRAINING_STORES: Final = range(10_000, 11_000)
_STEPS: Final = 200_000


class _Bandit(Protocol):
    """What a bandit can do beside choosing."""

    def update(self, contexts: Any, arms: Any, rewards: Any) -> None: ...

    def save(self, directory: Path) -> None: ...


B = TypeVar("B", bound=_Bandit)


def coupon_env(task: str, **options: Any) -> RetailCouponEnv:
    """The joint environment of a coupon task, over the training stores unless told otherwise.

    Raises:
        ValueError: if the id is no coupon task.
    """
    entry: Any = gym.spec(task_id(task)).entry_point
    creator = load_env_creator(entry) if isinstance(entry, str) else entry
    if not (isinstance(creator, type) and issubclass(creator, RetailCouponEnv)):
        raise ValueError(f"{task} is no coupon task: these agents need one arm per customer")
    if "world_seed" not in options:
        options.setdefault("world_seeds", TRAINING_STORES)
    return joint_env(gym.make(task, **options))


def log_uniform(env: RetailCouponEnv, steps: int, seed: int) -> list[CouponLog]:
    """Episodes under uniform random coupons until ``steps`` customer-weeks are logged.

    Episode k has the k-th training seed, which no test, reference or validation has.
    """
    steps = check_int("steps", steps, 1)
    policy, logs, done = UniformCoupons(), list[CouponLog](), 0
    while done < steps:
        logs.append(play(env, policy, training_seed(seed, len(logs))))
        done += logs[-1].arms.size
    return logs


def samples_of(
    logs: list[CouponLog],
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """Contexts (N, 9), arms (N,) and rewards (N,) of all decisions in some logs."""
    parts = [log.samples for log in logs]
    contexts, arms, rewards = (np.concatenate(column) for column in zip(*parts, strict=True))
    return contexts, arms, rewards


def online(
    env: RetailCouponEnv,
    policy: Any,
    episodes: int,
    seed: int,
    update: Callable[..., None],
    first: int = 0,
) -> None:
    """Play episodes with the policy's own arms, learning after every week.

    Args:
        env: the joint environment.
        policy: who chooses.
        episodes: how many.
        seed: of the training.
        update: called with contexts, arms and rewards of every week.
        first: number of the first training seed: those below were of the log.
    """
    for k in range(first, first + check_int("online_episodes", episodes, 0)):
        play(env, policy, training_seed(seed, k), observe=update)


def train_bandit(
    agent: str,
    task: str,
    defaults: Mapping[str, Any],
    fit: Callable[..., B],
    *,
    seed: int,
    steps: int | None,
    directory: Path,
    resume: bool = False,
    env_kwargs: Mapping[str, Any] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    packages: tuple[str, ...] = (),
    **ignored: Any,
) -> B:
    """Fit on logged uniform random coupons, then learn online.

    Args:
        agent: name in the registry.
        task: id of a coupon task.
        defaults: hyper-parameters, among them ``online_episodes``: played with the agent's own
            arms after the fit.
        fit: called with contexts, arms, rewards, hyper-parameters and seed, returns the policy.
        seed: of episodes, logging policy and whatever the agent draws.
        steps: customer-weeks of the log, default 200,000.
        directory: where the policy and ``card.json`` go.
        resume: whether a run in the folder is made again; it has nothing to go on from.
        env_kwargs: arguments of the environment; stores: ``world_seeds``.
        hyperparameters: those to set otherwise.
        packages: whose versions are put on the card.
        **ignored: options that only other learners have.

    Returns:
        The policy.
    """
    check_ignored(ignored)
    clock, cpu = time.perf_counter(), time.process_time()
    directory = Path(directory)
    kw = changed(defaults, hyperparameters)
    total = check_int("steps", _STEPS if steps is None else steps, 1)
    env = coupon_env(task, **dict(env_kwargs or {}))
    card = new_card(
        agent, task, seed=seed, steps=total, env=env_kwargs or {}, hyperparameters=kw,
        changes=hyperparameters, packages=packages,
    )  # fmt: skip
    open_run(directory, card, resume)
    logs = log_uniform(env, total, seed)
    contexts, arms, rewards = samples_of(logs)
    policy = fit(contexts, arms, rewards, kw, seed)
    online(env, policy, kw["online_episodes"], seed, policy.update, len(logs))
    policy.save(directory)
    finish(
        directory, card, wall_seconds=time.perf_counter() - clock,
        cpu_seconds=time.process_time() - cpu, steps_taken=len(arms),
    )  # fmt: skip
    return policy
