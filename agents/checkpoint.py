"""Everything that a run of stable-baselines3 needs to go on, in one file without pickled code.

A checkpoint holds tensors, numbers and text, and is read by ``torch.load(weights_only=True)``:
weights and the optimisers' memory, counters, the normalisation's statistics, the replay buffer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from retail_gym.config import atomic_write

__all__ = ["read_checkpoint", "restore", "snapshot", "write_checkpoint"]

#: Counters that learning depends on.
_COUNTERS: Final = ("num_timesteps", "_n_updates", "_n_calls", "_episode_num")
_REPLAY: Final = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def _statistics(env: Any) -> Any:
    from stable_baselines3.common.vec_env import VecNormalize

    return env if isinstance(env, VecNormalize) else None


def snapshot(model: Any) -> dict[str, Any]:
    """The state of a model between two updates."""
    variables = model._get_torch_save_params()[1]
    state: dict[str, Any] = {
        "parameters": model.get_parameters(),
        "variables": {name: getattr(model, name).detach().clone() for name in variables or []},
        "counters": {name: int(getattr(model, name)) for name in _COUNTERS if hasattr(model, name)},
    }
    normal = _statistics(model.env)
    if normal is not None:
        state["normalisation"] = {
            f"{which}.{part}": torch.as_tensor(np.array(getattr(getattr(normal, which), part)))
            for which in ("obs_rms", "ret_rms")
            for part in ("mean", "var", "count")
        }
    buffer = getattr(model, "replay_buffer", None)
    if buffer is not None:
        filled = buffer.buffer_size if buffer.full else buffer.pos
        state["replay"] = {
            name: torch.from_numpy(getattr(buffer, name)[:filled].copy()) for name in _REPLAY
        } | {"pos": int(buffer.pos), "full": bool(buffer.full)}
    return state


def restore(model: Any, state: dict[str, Any]) -> None:
    """Put a model back to a snapshot of one made alike."""
    model.set_parameters(state["parameters"], exact_match=True, device="cpu")
    for name, value in state["variables"].items():
        getattr(model, name).data.copy_(value)
    for name, value in state["counters"].items():
        setattr(model, name, value)
    normal = _statistics(model.env)
    if normal is not None:
        for name, value in state["normalisation"].items():
            which, part = name.split(".")
            number = value.numpy().copy()
            setattr(getattr(normal, which), part, number if part != "count" else float(number))
    buffer = getattr(model, "replay_buffer", None)
    if buffer is not None:
        replay = dict(state["replay"])
        buffer.pos, buffer.full = replay.pop("pos"), replay.pop("full")
        for name, value in replay.items():
            getattr(buffer, name)[: len(value)] = value.numpy()


def write_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint; what stood there stays until the new one is complete."""
    with atomic_write(path) as stream:
        torch.save(state, stream)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in it is run.

    Raises:
        ValueError: if it is damaged or holds more than tensors, numbers and text.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds
        raise ValueError(
            f"{path} is damaged or no checkpoint of this project ({type(error).__name__}): start "
            "again in another folder"
        ) from None
    return state
