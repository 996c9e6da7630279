"""A trained policy as plain arrays, run by NumPy alone: no torch, no pickle.

``observation -> normalise -> [LSTM] -> dense layers -> head -> action in natural units``. The
same class holds a network of stable-baselines3, a recurrent one, a Q-network over a table of
actions and the linear policies of a search.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import atomic_write, check_choice, check_finite
from retail_gym.world.storage import read_arrays

Floats = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]

__all__ = ["ACTIVATIONS", "HEADS", "NumpyPolicy"]

_FORMAT: Final = ("retail_gym.NumpyPolicy", 1)


def _relu(x: Floats) -> Floats:
    return np.maximum(x, 0.0)


def _sigmoid(x: Floats) -> Floats:
    return 0.5 * (1.0 + np.tanh(0.5 * x))  # does not overflow


def _box(unit: Floats, arrays: Arrays) -> Floats:
    """[-1, 1] to natural units."""
    low, high = (arrays[f"action.{end}"].astype(np.float64) for end in ("low", "high"))
    return np.clip(low + 0.5 * (unit + 1.0) * (high - low), low, high)


def _clip(x: Floats, arrays: Arrays, stretch: float) -> Floats:
    return _box(stretch * np.clip(x, -1.0, 1.0), arrays)


def _squash(x: Floats, arrays: Arrays, stretch: float) -> Floats:
    return _box(stretch * np.tanh(x), arrays)


def _choose(x: Floats, arrays: Arrays, stretch: float) -> Floats:
    chosen: Floats = arrays["action.table"].astype(np.float64)[np.argmax(x, axis=-1)]
    return chosen


ACTIVATIONS: Final[dict[str, Callable[[Floats], Floats]]] = {"tanh": np.tanh, "relu": _relu}
#: What becomes of the last layer: clipped or tanh-squashed to the box, or the best of a table.
HEADS: Final[dict[str, Callable[[Floats, Arrays, float], Floats]]] = {
    "clip": _clip,
    "squash": _squash,
    "choose": _choose,
}


class NumpyPolicy:
    """A deterministic policy made of arrays.

    Args:
        arrays: ``layer0.weight`` (outputs, inputs), ``layer0.bias``, ``layer1.weight``, ...;
            ``action.low``, ``action.high`` (A,) in natural units, or ``action.table`` (n, A)
            under the head ``"choose"``; optionally ``observation.mean`` and
            ``observation.scale`` (n,), and an LSTM before the layers: ``lstm.weight_input``
            (4 H, n), ``lstm.weight_hidden`` (4 H, H), ``lstm.bias`` (4 H,), gates in the order
            input, forget, cell, output.
        head: a name of :data:`HEADS`.
        activation: between layers, a name of :data:`ACTIVATIONS`.
        clip_observation: normalised observations are clipped to +- this.
        stretch: by how much [-1, 1] reaches beyond the box, whose bounds are then easy to hit.

    Raises:
        ValueError: for an unknown name, or arrays that are missing, do not fit or are not finite.
    """

    def __init__(
        self,
        arrays: Arrays,
        head: str,
        activation: str = "tanh",
        clip_observation: float = 10.0,
        stretch: float = 1.0,
    ) -> None:
        check_choice("head", head, HEADS)
        check_choice("activation", activation, ACTIVATIONS)
        self.arrays = {name: np.array(value) for name, value in sorted(arrays.items())}
        self.head, self.activation = head, activation
        self.clip_observation = float(clip_observation)
        self.stretch = check_finite("stretch", stretch, 1.0)
        _check(self.arrays, head)
        self._layers = [
            (self._double(f"layer{k}.weight").T, self._double(f"layer{k}.bias"))
            for k in range(_depth(self.arrays))
        ]
        size = self.arrays.get("lstm.weight_hidden", np.empty((0, 0))).shape[1]
        self._rest = np.zeros(size)
        self.reset(0)

    def _double(self, name: str) -> Floats:
        return self.arrays[name].astype(np.float64)

    def __repr__(self) -> str:
        return f"NumpyPolicy({self.head}, sha256 {self.digest})"

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of the weights."""
        content = hashlib.sha256(self._header().encode())
        for name, value in self.arrays.items():
            content.update(name.encode() + str(value.dtype).encode() + value.tobytes())
        return content.hexdigest()[:16]

    @property
    def inputs(self) -> int:
        """Length of the observation."""
        first = "lstm.weight_input" if self._rest.size else "layer0.weight"
        return int(self.arrays[first].shape[1])

    def reset(self, seed: int) -> None:
        """Forget the episode (of a recurrent policy; nothing is random)."""
        self._hidden, self._cell = self._rest, self._rest

    def __call__(self, observation: NDArray[np.float32], week: int) -> NDArray[np.float32]:
        x = np.asarray(observation, dtype=np.float64)
        if x.shape[-1:] != (self.inputs,):
            raise ValueError(
                f"the policy was trained on observations of {self.inputs} numbers, got shape "
                f"{x.shape}: use the task, segments and observation of its card"
            )
        if "observation.mean" in self.arrays:
            x = (x - self.arrays["observation.mean"]) / self.arrays["observation.scale"]
            x = np.clip(x, -self.clip_observation, self.clip_observation)
        if self._rest.size:
            x = self._remember(x)
        for k, (weight, bias) in enumerate(self._layers):
            x = x @ weight + bias
            if k + 1 < len(self._layers):
                x = ACTIVATIONS[self.activation](x)
        return HEADS[self.head](x, self.arrays, self.stretch).astype(np.float32)

    def _remember(self, x: Floats) -> Floats:
        """One step of the LSTM."""
        gates = (
            x @ self._double("lstm.weight_input").T
            + self._hidden @ self._double("lstm.weight_hidden").T
            + self._double("lstm.bias")
        )
        into, forget, cell, out = np.split(gates, 4, axis=-1)
        self._cell = _sigmoid(forget) * self._cell + _sigmoid(into) * np.tanh(cell)
        self._hidden = _sigmoid(out) * np.tanh(self._cell)
        return self._hidden

    @property
    def form(self) -> dict[str, Any]:
        """The arguments beside the arrays."""
        names = ("head", "activation", "clip_observation", "stretch")
        return {name: getattr(self, name) for name in names}

    def _header(self) -> str:
        return json.dumps({"format": _FORMAT[0], "version": _FORMAT[1], **self.form})

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the policy as ``.npz`` and return the path."""
        file = Path(path)
        with atomic_write(file) as stream:
            np.savez_compressed(stream, header=np.array(self._header()), **self.arrays)  # type: ignore[arg-type]
        return file

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NumpyPolicy:
        """Read a policy; nothing in the file is run or unpickled.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is damaged, of another kind or incomplete.
        """
        arrays = read_arrays(path)
        try:
            header = json.loads(str(arrays.pop("header")[()]))
            found = (header.pop("format"), header.pop("version"))
        except (KeyError, ValueError, TypeError, AttributeError):
            raise ValueError(f"{path} is an .npz file but not a policy of this project") from None
        if found != _FORMAT:
            raise ValueError(
                f"{path} has format {found[0]} version {found[1]}; this release reads "
                f"{_FORMAT[0]} version {_FORMAT[1]}. Export the policy again"
            )
        try:
            return cls(arrays, **header)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path} holds no usable policy: {error}") from None


def _depth(arrays: Arrays) -> int:
    """Number of dense layers."""
    k = 0
    while f"layer{k}.weight" in arrays:
        k += 1
    return k


def _check(arrays: Arrays, head: str) -> None:
    """Refuse arrays that are no network."""
    for name, value in arrays.items():
        if not np.issubdtype(value.dtype, np.floating) or not np.isfinite(value).all():
            raise ValueError(f"{name} must hold finite floating-point numbers")
    layers = _depth(arrays)
    names = [f"layer{k}.{part}" for k in range(max(layers, 1)) for part in ("weight", "bias")]
    names += ["action.table"] if head == "choose" else ["action.low", "action.high"]
    for stem, parts in (
        ("observation", ("mean", "scale")),
        ("lstm", ("weight_input", "weight_hidden", "bias")),
    ):
        if any(f"{stem}.{part}" in arrays for part in parts):
            names += [f"{stem}.{part}" for part in parts]
    missing, strange = sorted(set(names) - set(arrays)), sorted(set(arrays) - set(names))
    if missing or strange:
        raise ValueError(f"missing arrays {missing}, unknown arrays {strange}")
    shapes = {name: value.shape for name, value in arrays.items()}
    for name, value in arrays.items():
        matrix = "weight" in name or name == "action.table"
        if value.ndim != (2 if matrix else 1) or value.size == 0:
            raise ValueError(
                f"{name} must be a {'matrix' if matrix else 'vector'}, not {value.shape}"
            )
    first = "lstm.weight_input" if "lstm.bias" in arrays else "layer0.weight"
    inputs, wanted = shapes[first][1], dict[str, tuple[int, ...]]()
    if "observation.mean" in arrays:
        wanted |= {"observation.mean": (inputs,), "observation.scale": (inputs,)}
        if (arrays["observation.scale"] <= 0).any():
            raise ValueError("observation.scale must be positive")
    if "lstm.bias" in arrays:
        size = shapes["lstm.weight_hidden"][1]
        wanted |= {"lstm.weight_input": (4 * size, inputs), "lstm.weight_hidden": (4 * size, size)}
        wanted["lstm.bias"], inputs = (4 * size,), size
    for k in range(layers):
        outputs = shapes[f"layer{k}.bias"][0]
        wanted[f"layer{k}.weight"], inputs = (outputs, inputs), outputs
    if head == "choose":
        wanted["action.table"] = (inputs, shapes["action.table"][1])
    else:
        wanted |= {"action.low": (inputs,), "action.high": (inputs,)}
        if (arrays["action.low"] > arrays["action.high"]).any():
            raise ValueError("action.low must not exceed action.high")
    for name, shape in wanted.items():
        if shapes[name] != shape:
            raise ValueError(f"{name} must have shape {shape}, not {shapes[name]}")
