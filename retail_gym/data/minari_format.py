"""Logged decisions in Minari's format. Needs ``pip install "retail-gym[offline]"``.

A dataset is a folder that ``minari.load_dataset(id)`` reads. Beside Minari's own fields every
episode has the infos, of which entry t + 1 belongs to action t and entry 0 to the reset:

| info | shape | meaning |
|---|---|---|
| ``propensity`` | (T + 1, 1), customers of one store (T + 1, U) | of the action taken |
| ``probabilities`` | (T + 1, [U,] K) | of every action; not for densities |
| ``customer_rewards`` | (T + 1, U) | customers of one store: reward of each |
| ``customer`` | (T + 1, 1) | episodes of one customer: its number |
| others | (T + 1, 1) | the environment's figures of the store |

Entry 0 of the first three is NaN, so that reading them one week off shows. ``dataset.storage
.metadata["retail_gym"]`` says who acted where, and what a propensity is.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from retail_gym.config import check_choice
from retail_gym.data.logged import LEVELS, LoggedEpisode, level_of, lineage
from retail_gym.policies.behaviour import Behaviour

__all__ = ["FORMATS", "minari_folder", "read_minari", "write_minari"]

#: Minari's file formats; the first is its own default.
FORMATS: Final = ("hdf5", "arrow", "parquet")
_BLOCK: Final = 64  # episodes written at once
_OWN: Final = ("propensity", "probabilities", "customer_rewards", "customer")


def _minari() -> ModuleType:
    try:
        import minari
    except ImportError:
        raise ValueError('Minari is not installed: pip install "retail-gym[offline]"') from None
    module: ModuleType = minari
    return module


def minari_folder(dataset_id: str, root: str | os.PathLike[str] | None = None) -> Path:
    """Where a dataset is or will be.

    Args:
        dataset_id: ``namespace/name-v0``; the namespace may be left out.
        root: folder of all datasets; by default Minari's, ``MINARI_DATASETS_PATH``.

    Raises:
        ValueError: for a malformed id, or without Minari.
    """
    _minari()
    from minari.dataset.minari_dataset import parse_dataset_id
    from minari.storage import get_dataset_path

    try:
        parse_dataset_id(dataset_id)
    except (ValueError, TypeError):
        raise ValueError(
            f"{dataset_id!r} is no id of a dataset: give (namespace/)name-v0, of letters, digits, "
            "- and _"
        ) from None
    return Path(get_dataset_path(dataset_id) if root is None else Path(root) / dataset_id)


def _after(values: NDArray[Any]) -> NDArray[Any]:
    """What belongs to actions as infos: NaN for the reset, then a row for each action."""
    rows = np.asarray(values, dtype=np.float64)
    rows = rows[:, None] if rows.ndim == 1 else rows
    return np.concatenate([np.full((1, *rows.shape[1:]), np.nan), rows])


def _buffers(episode: LoggedEpisode, level: str) -> Iterator[Any]:
    """Minari's episodes of one of ours: one, or one for each customer."""
    from minari.data_collector.episode_buffer import EpisodeBuffer

    ended = np.zeros(len(episode), dtype=bool)
    truncated = ended.copy()
    truncated[-1] = True
    shared = {name: values[:, None] for name, values in episode.infos.items()}
    customers = episode.rewards.ndim == 2
    parts: list[tuple[Any, dict[str, NDArray[Any]]]] = [(slice(None), {})]
    if level == "customer":
        shared = {}  # of the store: they would be written once for every customer
        n = episode.rewards.shape[1]
        number = np.ones((len(episode) + 1, 1), dtype=np.int64)
        parts = [(u, {"customer": u * number}) for u in range(n)]
    for u, infos in parts:
        pick = (slice(None), u) if customers else slice(None)
        infos |= shared | {"propensity": _after(episode.propensities[pick])}
        if episode.probabilities is not None:
            infos["probabilities"] = _after(episode.probabilities[pick])
        rewards = episode.rewards[pick]
        if rewards.ndim == 2:
            infos["customer_rewards"] = _after(rewards)
            rewards = episode.store_rewards
        yield EpisodeBuffer(
            seed=episode.seed,
            observations=episode.observations[pick],
            actions=episode.actions[pick],
            rewards=rewards,
            terminations=ended,
            truncations=truncated,
            infos=infos,
        )


def _spaces(env: gym.Env[Any, Any], level: str) -> tuple[gym.Space[Any], gym.Space[Any]]:
    observation, action = env.observation_space, env.action_space
    if level == level_of(env) == "customer":
        assert isinstance(observation, spaces.Box)
        assert isinstance(action, spaces.MultiDiscrete)
        row = spaces.Box(observation.low[0], observation.high[0], dtype=np.float32)
        return row, spaces.Discrete(int(action.nvec[0]))
    return observation, action


def write_minari(
    dataset_id: str,
    env: gym.Env[Any, Any],
    behaviour: Behaviour,
    episodes: Iterable[LoggedEpisode],
    *,
    level: str | None = None,
    root: str | os.PathLike[str] | None = None,
    data_format: str = FORMATS[0],
    description: str = "",
) -> Path:
    """Write a dataset, whole or not at all.

    Args:
        dataset_id: ``namespace/name-v0``.
        env: in which the episodes were played, as ``gym.make`` returns it: its spec is kept, so
            ``dataset.recover_environment()`` makes it again.
        behaviour: who acted.
        episodes: of :func:`~retail_gym.data.logged.log_episodes`; taken as they come.
        level: ``"customer"`` (coupons; the default there) makes every customer's weeks an
            episode of its own, ``"store"`` one episode with an action for each customer.
        root: folder of all datasets; by default Minari's own.
        data_format: a name of :data:`FORMATS`.
        description: a sentence for people.

    Returns:
        The dataset's folder.

    Raises:
        ValueError: for an unknown name, a malformed id, an id that exists, no episodes, or
            an environment without a spec.
        OSError: if the folder cannot be written.
    """
    minari = _minari()
    check_choice("data_format", data_format, FORMATS)
    level = level or level_of(env)
    check_choice("level", level, LEVELS)
    if level == "customer" and level_of(env) == "store":
        raise ValueError("a pricing environment has one action for its store: level='store'")
    if env.spec is None:
        raise ValueError("the environment has no spec to keep: make it with gym.make(id, ...)")
    target = minari_folder(dataset_id, root)
    if target.exists():
        raise ValueError(f"the dataset {dataset_id} exists in {target}: choose another version")
    facts = lineage(env, behaviour) | {"episodes_are_of": level}
    facts["versions"]["minari"] = minari.__version__
    metadata = {
        "dataset_id": dataset_id,
        "minari_version": minari.__version__,
        "algorithm_name": repr(behaviour),
        "author": {"The retail-gym authors"},
        "description": description or f"{env.spec.id}, decisions of {behaviour!r}",
        "requirements": [f"retail-gym=={facts['versions']['retail-gym']}"],
        "retail_gym": facts,
    }
    hidden = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        hidden = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        _fill(hidden / "data", env, level, data_format, metadata, episodes)
        _name_spaces(target.parent, dataset_id)
        hidden.chmod(0o755)
        os.replace(hidden, target)
    except BaseException as error:
        if hidden is not None:
            shutil.rmtree(hidden, ignore_errors=True)
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            raise OSError(
                error.errno or errno.EIO,
                f"cannot write {target}: {reason}. Choose a folder that is writable and has room "
                "(MINARI_DATASETS_PATH)",
            ) from error
        raise
    return target


def _fill(
    folder: Path,
    env: gym.Env[Any, Any],
    level: str,
    data_format: str,
    metadata: dict[str, Any],
    episodes: Iterable[LoggedEpisode],
) -> None:
    from minari.dataset.minari_storage import MinariStorage

    observation_space, action_space = _spaces(env, level)
    try:
        storage = MinariStorage.new(folder, observation_space, action_space, env.spec, data_format)
    except ImportError as error:
        raise ValueError(f"format {data_format}: {error}") from None
    storage.update_metadata(metadata)
    seeds = []

    def buffers() -> Iterator[Any]:
        for episode in episodes:
            seeds.append(episode.seed)
            yield from _buffers(episode, level)

    stream = buffers()
    while block := list(islice(stream, _BLOCK)):
        storage.update_episodes(block)
    if not seeds:
        raise ValueError("a dataset needs at least one episode")
    storage.update_metadata({"retail_gym": metadata["retail_gym"] | {"seeds": seeds}})


def _name_spaces(parent: Path, dataset_id: str) -> None:
    """Minari knows a namespace by a file in its folder."""
    from minari.namespace import NAMESPACE_METADATA_FILENAME

    for folder, _ in zip((parent, *parent.parents), dataset_id.split("/")[:-1], strict=False):
        file = folder / NAMESPACE_METADATA_FILENAME
        if not file.exists():
            file.write_text("{}", encoding="utf-8")


def read_minari(dataset: Any) -> list[LoggedEpisode]:
    """Our episodes back, for :mod:`retail_gym.evaluation.off_policy`.

    Args:
        dataset: of ``minari.load_dataset``, an id, or the folder :func:`write_minari` returned.

    Returns:
        As they were logged; where every customer is an episode of its own, those of one store
        and seed are joined again.

    Raises:
        FileNotFoundError: if there is no such dataset.
        ValueError: if it was not written by :func:`write_minari`.
    """
    minari = _minari()
    if isinstance(dataset, str | os.PathLike):
        folder = Path(dataset)
        if isinstance(dataset, str) and not folder.is_dir():
            folder = minari_folder(dataset)
        if not (folder / "data").is_dir():
            raise FileNotFoundError(errno.ENOENT, f"no dataset in {folder}")
        dataset = minari.MinariDataset(folder / "data")
    facts = dataset.storage.metadata.get("retail_gym")
    if not isinstance(facts, dict) or "episodes_are_of" not in facts:
        raise ValueError(f"{dataset.id} has no propensities of this project")
    episodes = [_episode(item, seed) for item, seed in _with_seeds(dataset)]
    if facts["episodes_are_of"] == "customer":
        return _joined(episodes, int(facts["store"]["customers"]))
    return episodes


def _with_seeds(dataset: Any) -> Iterator[tuple[Any, int]]:
    rows = dataset.storage.get_episode_metadata(dataset.episode_indices)
    for episode, row in zip(dataset.iterate_episodes(), rows, strict=True):
        yield episode, int(row["seed"])


def _episode(item: Any, seed: int) -> LoggedEpisode:
    infos = {name: np.asarray(values) for name, values in item.infos.items()}
    probabilities = infos.get("probabilities")
    by_customer = infos.get("customer_rewards")
    propensity = infos["propensity"][1:]
    return LoggedEpisode(
        seed,
        np.asarray(item.observations, dtype=np.float32),
        np.asarray(item.actions),
        np.asarray(item.rewards) if by_customer is None else by_customer[1:],
        propensity[:, 0] if by_customer is None else propensity,
        None if probabilities is None else probabilities[1:],
        {name: values[:, 0] for name, values in infos.items() if name not in _OWN},
    )


def _joined(parts: list[LoggedEpisode], n: int) -> list[LoggedEpisode]:
    """Episodes of stores from those of their customers, which follow each other."""
    if len(parts) % n:
        raise ValueError(f"{len(parts)} episodes are not all of stores of {n} customers")
    joined = []
    for first in range(0, len(parts), n):
        of_one = parts[first : first + n]
        if len({part.seed for part in of_one}) > 1:
            raise ValueError("the customers of a store are not together: load the whole dataset")
        stacked = {
            name: np.stack([getattr(part, name) for part in of_one], axis=1)
            for name in ("observations", "actions", "rewards", "propensities", "probabilities")
        }
        joined.append(LoggedEpisode(of_one[0].seed, infos={}, **stacked))
    return joined
