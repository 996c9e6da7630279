"""Logged decisions as a contextual bandit, with the fields of Open Bandit Pipeline.

| field | shape | meaning |
|---|---|---|
| ``context`` | (n, d) float32 | observation before the action |
| ``action`` | (n,) | 0..K-1 |
| ``reward`` | (n,) | of that customer (units of R0 / U) or store (R0), that week |
| ``pscore`` | (n,) | probability of the action under the logging policy |
| ``position`` | (n,) | 0: one action at a time |
| ``pi_b`` | (n, K) | probability of every action under the logging policy |
| ``episode``, ``week``, ``customer`` | (n,) | which decision it was; week from 1 |

Saito et al. 2021, "Open Bandit Dataset and Pipeline" (arXiv 2008.07146), whose ``pi_b`` has a
third axis of length 1 for the position. A bandit sees weeks apart: what an action does to later
weeks is not in its rewards.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import atomic_write
from retail_gym.data.logged import LoggedEpisode

__all__ = ["bandit_feedback", "write_bandit"]


def bandit_feedback(episodes: Iterable[LoggedEpisode]) -> dict[str, NDArray[Any]]:
    """The fields of all decisions.

    Args:
        episodes: with finitely many actions, one number for each decision.

    Raises:
        ValueError: for no episodes, or actions that are no single number.
    """
    columns: dict[str, list[NDArray[Any]]] = {}
    for number, episode in enumerate(episodes):
        p = episode.probabilities
        if p is None or p.shape[:-1] != episode.rewards.shape:
            raise ValueError(
                "a bandit's actions are numbers 0..K-1, one for each reward: log coupons, or "
                "DiscretePricing around a pricing environment"
            )
        shape = episode.rewards.shape
        weeks, customers = np.indices((shape[0], 1 if len(shape) == 1 else shape[1]))
        rows = {
            "context": episode.observations[:-1].reshape(-1, episode.observations.shape[-1]),
            "action": episode.actions.reshape(-1),
            "reward": episode.rewards.reshape(-1),
            "pscore": episode.propensities.reshape(-1),
            "position": np.zeros(episode.rewards.size, dtype=np.int64),
            "pi_b": p.reshape(-1, p.shape[-1]),
            "episode": np.full(episode.rewards.size, number),
            "week": weeks.reshape(-1) + 1,
            "customer": customers.reshape(-1),
        }
        for name, values in rows.items():
            columns.setdefault(name, []).append(values)
    if not columns:
        raise ValueError("a bandit log needs at least one episode")
    return {name: np.concatenate(parts) for name, parts in columns.items()}


def write_bandit(path: Path, episodes: Iterable[LoggedEpisode]) -> int:
    """Write the fields to one file.

    Args:
        path: ``.npz`` (arrays) or ``.parquet`` (contexts and probabilities as lists).
        episodes: of :func:`~retail_gym.data.logged.log_episodes`.

    Returns:
        The number of decisions.

    Raises:
        ValueError: for another ending, or what :func:`bandit_feedback` refuses.
        OSError: if the file cannot be written.
    """
    if path.suffix not in (".npz", ".parquet"):
        raise ValueError(f"a bandit log is an .npz or a .parquet file, got {path}")
    fields = bandit_feedback(episodes)
    with atomic_write(path) as stream:
        if path.suffix == ".npz":
            np.savez_compressed(stream, **fields)  # type: ignore[arg-type]
        else:
            import polars as pl

            pl.DataFrame(fields).write_parquet(stream)
    return len(fields["reward"])
