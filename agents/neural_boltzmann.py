r"""Neural Boltzmann bandit: a network predicts the reward of every arm, arms are drawn by softmax.

.. math:: P(k \mid x) \propto \exp(f_k(x) / T)

The network is trained in torch on the squared error of the arm that was taken, and runs in NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from agents.coupon_training import train_bandit
from agents.linear_arms import check_arrays
from agents.registry import library
from retail_gym.config import atomic_write, check_finite, check_int
from retail_gym.envs.coupon_views import policy_stream
from retail_gym.envs.coupons import COUPON_LEVELS
from retail_gym.world.storage import read_arrays

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["NeuralBoltzmann", "load", "train"]

FILE: Final = "neural_boltzmann.npz"
_WEIGHTS, _DRAWS, _ORDER = 0xB01, 0xB02, 0xB03  # streams


class NeuralBoltzmann:
    """The policy: contexts in, arms out, random by ``reset(seed)``.

    Args:
        layers: (weight (d_in, d_out), bias (d_out,)) of each layer; ReLU between them.
        shift: subtracted from contexts, shape (d,).
        scale: divides them, shape (d,).
        temperature: T > 0 in the units of the reward; small is greedy.
        seed: of the draws, until the next ``reset``.

    Raises:
        ValueError: for a temperature that is not above 0.
    """

    def __init__(
        self,
        layers: Sequence[tuple[ArrayLike, ArrayLike]],
        shift: ArrayLike,
        scale: ArrayLike,
        temperature: float,
        seed: int = 0,
    ) -> None:
        self.layers = [(np.asarray(w, np.float64), np.asarray(b, np.float64)) for w, b in layers]
        self.shift: Floats = np.asarray(shift, np.float64)
        self.scale: Floats = np.asarray(scale, np.float64)
        self.temperature = check_finite("temperature", temperature, 1e-12)
        self.reset(seed)

    @staticmethod
    def untrained(
        contexts: ArrayLike,
        arms: int,
        *,
        hidden: Sequence[int] = (32, 32),
        temperature: float = 0.02,
        standardise: bool = True,
        seed: int = 0,
    ) -> NeuralBoltzmann:
        """A network with Glorot-uniform weights and zero biases.

        Args:
            contexts: sample that sets shift and scale, shape (N, d).
            arms: K.
            hidden: units of the hidden layers.
            temperature: T > 0.
            standardise: shift and scale contexts to mean 0 and variance 1; False: leave them.
            seed: of the weights and, until ``reset``, of the draws.
        """
        x = np.asarray(contexts, dtype=np.float64)
        d = x.shape[1]
        shift: Floats = x.mean(axis=0) if standardise else np.zeros(d)
        scale: Floats = np.asarray(x.std(axis=0)) if standardise else np.ones(d)
        scale[scale == 0.0] = 1.0
        sizes = [d, *(check_int("hidden", n, 1) for n in hidden), check_int("arms", arms, 1)]
        generator = policy_stream(seed, _WEIGHTS)
        layers = []
        for n_in, n_out in pairwise(sizes):
            limit = np.sqrt(6.0 / (n_in + n_out))
            weight = generator.uniform(-limit, limit, size=(n_in, n_out))
            layers.append((weight, np.zeros(n_out)))
        return NeuralBoltzmann(layers, shift, scale, temperature, seed)

    def __repr__(self) -> str:
        return f"NeuralBoltzmann(temperature={self.temperature})"

    def reset(self, seed: int | None = None) -> None:
        """Start the stream of draws of a seed."""
        self._generator = policy_stream(seed, _DRAWS)

    def predict(self, contexts: ArrayLike) -> Floats:
        """Expected reward of every arm, shape (N, K)."""
        hidden = (np.asarray(contexts, dtype=np.float64) - self.shift) / self.scale
        for weight, bias in self.layers[:-1]:
            hidden = np.maximum(hidden @ weight + bias, 0.0)
        weight, bias = self.layers[-1]
        return np.asarray(hidden @ weight + bias)

    def probabilities(self, contexts: ArrayLike) -> Floats:
        """Probability of every arm, shape (N, K)."""
        score = self.predict(contexts) / self.temperature
        weight = np.exp(score - score.max(axis=1, keepdims=True))
        return np.asarray(weight / weight.sum(axis=1, keepdims=True))

    def __call__(self, observation: ArrayLike, week: int) -> Ints:
        """Arms, shape (U,), for contexts of shape (U, d)."""
        cumulative = self.probabilities(observation).cumsum(axis=1)
        draw = self._generator.random((cumulative.shape[0], 1))
        below = (draw >= cumulative[:, :-1]).sum(axis=1)
        return np.asarray(below, dtype=np.int64)

    def fit(
        self,
        contexts: ArrayLike,
        arms: ArrayLike,
        rewards: ArrayLike,
        *,
        epochs: int = 20,
        batch: int = 4096,
        learning_rate: float = 3e-3,
        seed: int = 0,
    ) -> list[float]:
        """Minimise the mean squared error of the arms taken, with Adam in torch.

        Args:
            contexts: shape (N, d).
            arms: shape (N,).
            rewards: shape (N,).
            epochs: passes over the data.
            batch: decisions a step.
            learning_rate: of Adam.
            seed: of the order of the data.

        Returns:
            Mean loss of every epoch.
        """
        import torch

        x = (np.asarray(contexts, dtype=np.float64) - self.shift) / self.scale
        inputs = torch.as_tensor(x, dtype=torch.float32)
        taken = torch.as_tensor(np.asarray(arms, dtype=np.int64))[:, None]
        target = torch.as_tensor(np.asarray(rewards), dtype=torch.float32)
        weights = [torch.tensor(w, dtype=torch.float32, requires_grad=True) for w, _ in self.layers]
        biases = [torch.tensor(b, dtype=torch.float32, requires_grad=True) for _, b in self.layers]
        adam = torch.optim.Adam([*weights, *biases], lr=learning_rate)
        order = policy_stream(seed, _ORDER)
        losses = []
        for _ in range(check_int("epochs", epochs, 1)):
            total = 0.0
            for rows in np.array_split(order.permutation(len(x)), max(1, len(x) // batch)):
                pick = torch.as_tensor(rows)
                hidden = inputs[pick]
                for w, b in zip(weights[:-1], biases[:-1], strict=True):
                    hidden = torch.relu(hidden @ w + b)
                value = (hidden @ weights[-1] + biases[-1]).gather(1, taken[pick])[:, 0]
                loss = ((value - target[pick]) ** 2).mean()
                adam.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                adam.step()
                total += float(loss.detach()) * len(rows)
            losses.append(total / len(x))
        self.layers = [
            (w.detach().numpy().astype(np.float64), b.detach().numpy().astype(np.float64))
            for w, b in zip(weights, biases, strict=True)
        ]
        return losses

    def update(self, contexts: ArrayLike, arms: ArrayLike, rewards: ArrayLike) -> None:
        """Learn online: one gradient step on new decisions."""
        self.fit(contexts, arms, rewards, epochs=1, batch=10**9, learning_rate=1e-3)

    def save(self, directory: Path) -> None:
        """Write ``neural_boltzmann.npz``."""
        arrays = {f"weight_{k}": w for k, (w, _) in enumerate(self.layers)}
        arrays |= {f"bias_{k}": b for k, (_, b) in enumerate(self.layers)}
        with atomic_write(Path(directory) / FILE) as stream:
            np.savez(
                stream,
                shift=self.shift,
                scale=self.scale,
                temperature=self.temperature,
                **arrays,  # type: ignore[arg-type]
            )


#: Hyper-parameters.
_DEFAULTS: Final[dict[str, Any]] = {
    "hidden": (32, 32),
    "temperature": 0.02,
    "epochs": 20,
    "online_episodes": 0,
}


def _fit(contexts: Any, arms: Any, rewards: Any, kw: dict[str, Any], seed: int) -> NeuralBoltzmann:
    policy = NeuralBoltzmann.untrained(
        contexts,
        COUPON_LEVELS.size,
        hidden=kw["hidden"],
        temperature=kw["temperature"],
        seed=seed,
    )
    policy.fit(contexts, arms, rewards, epochs=kw["epochs"], seed=seed)
    return policy


def train(
    task: str, *, seed: int = 0, steps: int | None = None, directory: Path, **options: Any
) -> NeuralBoltzmann:
    """Fit on logged uniform random coupons, then learn online.

    See :func:`agents.coupon_training.train_bandit` for the options. Hyper-parameters: ``hidden``
    (units of the hidden layers), ``temperature`` (T, in units of the reward, R0 / U), ``epochs``
    (passes over the log) and ``online_episodes``.
    """
    library("torch")
    return train_bandit(
        "neural_boltzmann",
        task,
        _DEFAULTS,
        _fit,
        seed=seed,
        steps=steps,
        directory=directory,
        packages=("torch",),
        **options,
    )


def load(directory: Path) -> NeuralBoltzmann:
    """The policy that :func:`train` or ``save`` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not such a file.
    """
    path = Path(directory) / FILE
    arrays = read_arrays(path)
    layers = sum(name.startswith("weight_") for name in arrays)
    ends = [f"{part}_{k}" for k in range(layers) for part in ("weight", "bias")]
    names = ("temperature", "shift", "scale", *(ends or ["weight_0"]))
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(f"{path} holds no neural Boltzmann bandit: {', '.join(missing)} missing")
    width = arrays["shift"].size
    shapes: dict[str, tuple[int, ...]] = {"temperature": (), "shift": (width,), "scale": (width,)}
    for k in range(layers):
        units = arrays[f"bias_{k}"].size
        shapes |= {f"weight_{k}": (width, units), f"bias_{k}": (units,)}
        width = units
    check_arrays(path, arrays, shapes)
    if not ((arrays["scale"] > 0.0).all() and arrays["temperature"] > 0.0):
        raise ValueError(f"{path} is damaged: scale and temperature must be above 0")
    return NeuralBoltzmann(
        [(arrays[f"weight_{k}"], arrays[f"bias_{k}"]) for k in range(layers)],
        arrays["shift"],
        arrays["scale"],
        float(arrays["temperature"]),
    )
