"""What the neural generators share: networks as arrays, conditions, training that can stop and go on.

PyTorch is an optional package (extra ``generators``) and is imported here and in the files that
train, never by ``import retail_gym``.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from retail_gym.config import atomic_write

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["as_arrays", "condition", "load_arrays", "mlp", "one_thread", "step_rng", "train"]

#: Steps between two checkpoints.
KEEP_EVERY: Final = 200


def inputs_of(network: nn.Sequential) -> int:
    """Inputs of a network of :func:`mlp`."""
    first = network[0]
    assert isinstance(first, nn.Linear)
    return first.in_features


def mlp(*sizes: int) -> nn.Sequential:
    """Layers of the given sizes with leaky rectifiers between them."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def as_arrays(prefix: str, network: nn.Module) -> dict[str, NDArray[np.generic]]:
    """Weights as plain arrays."""
    return {f"{prefix}.{k}": v.detach().numpy() for k, v in network.state_dict().items()}


def load_arrays(prefix: str, network: nn.Module, arrays: Mapping[str, Any]) -> None:
    """Put weights back.

    Raises:
        KeyError: where one is missing.
    """
    state = {k: torch.from_numpy(arrays[f"{prefix}.{k}"].copy()) for k in network.state_dict()}
    network.load_state_dict(state)


def mlp_of(prefix: str, arrays: Mapping[str, Any]) -> nn.Sequential:
    """The network of :func:`mlp` whose weights :func:`as_arrays` gave."""
    weights = [f"{prefix}.{2 * n}.weight" for n in range(len(arrays))]
    shapes = [arrays[name].shape for name in weights if name in arrays]
    network = mlp(shapes[0][1], *(shape[0] for shape in shapes))
    load_arrays(prefix, network, arrays)
    return network


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One thread of PyTorch, so that sums have one order and results one value."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def step_rng(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step of training: a run that goes on draws the same."""
    word = np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(word >> np.uint64(1)))


def condition(score_kf: Floats, week_k: Ints, stock_td: Floats | None = None) -> Tensor:
    """What a basket is drawn given: customer's features, season (one circle a year), stock."""
    angle = 2.0 * np.pi * week_k / 52.0
    parts = [score_kf, np.sin(angle)[:, None], np.cos(angle)[:, None]]
    if stock_td is not None:
        parts.append(stock_td[week_k - 1])
    return torch.from_numpy(np.concatenate(parts, axis=1).astype(np.float32))


def train(
    parts: Mapping[str, Any],
    steps: int,
    update: Any,
    *,
    settings: str,
    checkpoint: str | os.PathLike[str] | None = None,
) -> None:
    """Run ``update(step)`` for every step, going on from a checkpoint where there is one.

    Args:
        parts: networks and optimisers, all that the steps change.
        steps: how many.
        update: one step; its random numbers depend on the step's number alone.
        settings: a hash of everything the run depends on; a checkpoint of another one is refused.
        checkpoint: file to keep the state in, removed by nobody; by default none is kept.

    Raises:
        ValueError: for a checkpoint of other settings, or a damaged one.
        FloatingPointError: if a weight is no longer finite.
    """
    file = None if checkpoint is None else Path(checkpoint)
    first = _resume(file, parts, settings) if file is not None and file.exists() else 0
    for step in range(first, steps):
        update(step)
        last = step + 1 == steps
        if last or (step + 1) % KEEP_EVERY == 0:
            _check_finite(parts, step)
            if file is not None:
                state = {name: part.state_dict() for name, part in parts.items()}
                with atomic_write(file) as stream:
                    torch.save({"settings": settings, "step": step + 1, "parts": state}, stream)


def _check_finite(parts: Mapping[str, Any], step: int) -> None:
    for name, part in parts.items():
        if isinstance(part, nn.Module) and not all(
            bool(torch.isfinite(p).all()) for p in part.parameters()
        ):
            raise FloatingPointError(
                f"weights of the {name} are not finite after step {step + 1}: lower the learning "
                "rate"
            )


def _resume(file: Path, parts: Mapping[str, Any], settings: str) -> int:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        found, step = state["settings"], int(state["step"])
    except Exception as error:  # torch raises many kinds
        raise ValueError(
            f"{file} is damaged or no checkpoint of a generator ({type(error).__name__}): delete it "
            "to start again"
        ) from None
    if found != settings:
        raise ValueError(
            f"{file} is of another table, seed or configuration: delete it to start again"
        )
    for name, part in parts.items():
        part.load_state_dict(state["parts"][name])
    return step
