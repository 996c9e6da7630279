"""Trained policies from disk. Nothing that could run code is read unless it is trusted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agents.card import POLICY, read_card
from agents.library import LAST
from agents.numpy_policy import NumpyPolicy
from agents.registry import agent_module
from retail_gym.config import check_choice
from retail_gym.policies import Policy

__all__ = ["PRETRAINED", "load", "load_pretrained", "pretrained_names"]

PRETRAINED: Final = Path(__file__).parent / "pretrained"
#: Files whose reading can run code that their author put there.
_PICKLES: Final = (".zip", ".pkl", ".pickle", ".pt", ".pth", ".joblib")


class LibraryPolicy:
    """A stable-baselines3 model as a policy: natural units in and out.

    Args:
        model: with its environments, as :func:`agents.library.build_model` makes it.
        policy: the same in NumPy, for the statistics of observations and the meaning of actions.
    """

    def __init__(self, model: Any, policy: NumpyPolicy) -> None:
        self.model, self._numpy = model, policy
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Forget the episode."""
        self._state: Any = None
        self._start = np.ones(1, dtype=bool)

    def __call__(self, observation: NDArray[np.float32], week: int) -> NDArray[np.float32]:
        arrays, x = self._numpy.arrays, np.asarray(observation, dtype=np.float64)
        if "observation.mean" in arrays:
            x = (x - arrays["observation.mean"]) / arrays["observation.scale"]
            x = np.clip(x, -self._numpy.clip_observation, self._numpy.clip_observation)
        action, self._state = self.model.predict(
            x.astype(np.float32), self._state, self._start, deterministic=True
        )
        self._start = np.zeros(1, dtype=bool)
        if "action.table" in arrays:
            return np.asarray(arrays["action.table"][int(action)], dtype=np.float32)
        low, high = arrays["action.low"], arrays["action.high"]
        unit = self._numpy.stretch * action
        natural = np.clip(low + 0.5 * (unit + 1.0) * (high - low), low, high)
        return np.asarray(natural, dtype=np.float32)


def load(path: str | os.PathLike[str], trust: bool = False) -> Policy:
    """A trained policy.

    Args:
        path: the folder of a run or of a trained model, its ``policy.npz``, or the ``model.zip``
            of a run.
        trust: read files that hold pickled Python, which runs code when it is read. Only for
            files that you made yourself or whose author you trust.

    Returns:
        The policy: in NumPy, except for ``model.zip``, which is run by torch.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: for a damaged file, or one that needs trust.
    """
    file = Path(path)
    if file.is_dir():
        return _policy(agent_module(read_card(file)["agent"]).load(file))
    if file.suffix == ".npz":
        return NumpyPolicy.load(file)
    if not file.exists():
        raise FileNotFoundError(
            2, f"no trained policy at {file}; pretrained ones: {', '.join(pretrained_names())}"
        )
    if file.suffix not in _PICKLES:
        raise ValueError(f"{file} is no trained policy: give a folder, policy.npz or model.zip")
    if not trust:
        raise ValueError(
            f"{file} holds pickled Python objects, and reading those runs whatever code their "
            f"author put there. Load {POLICY} instead (plain arrays, the same actions), or pass "
            "trust=True if you made the file yourself"
        )
    if file.suffix != ".zip":
        raise ValueError(f"{file} is not a model that agents.train wrote: give its model.zip")
    return _from_zip(file)


def _policy(policy: Any) -> Policy:
    chosen: Policy = policy
    return chosen


def _from_zip(file: Path) -> Policy:
    """The model of a run's folder, which says by its card what it is."""
    module = agent_module(read_card(file.parent)["agent"])
    model = module.ALGORITHM.load_class().load(file, device="cpu")
    return LibraryPolicy(model, NumpyPolicy.load(file.parent / LAST))


def pretrained_names() -> list[str]:
    """The trained models that come with the checkout."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{POLICY}"))


def load_pretrained(name: str) -> Policy:
    """A trained model that comes with the checkout; runs in NumPy, without torch.

    Raises:
        ValueError: for an unknown name, with the list.
    """
    check_choice("pretrained agent", name, pretrained_names())
    return NumpyPolicy.load(PRETRAINED / name / POLICY)
