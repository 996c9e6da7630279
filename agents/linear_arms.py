r"""Ridge regression of the reward on the context, one per arm: what LinUCB and LinTS share.

.. math:: A_k = \lambda I + \sum x x^\top,\quad b_k = \sum r x,\quad \hat\theta_k = A_k^{-1} b_k

summed over the decisions in which arm k was taken; x is the context with a 1 appended.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym.config import atomic_write, check_finite, check_int

Floats = NDArray[np.float64]

__all__ = ["LinearArms"]


@dataclass(frozen=True)
class LinearArms:
    """Sufficient statistics of every arm; immutable, an update makes another.

    Contexts are shifted and scaled first, ``(x - shift) / scale``, so that the ridge treats
    figures of different units alike.
    """

    gram: Floats  # K, d + 1, d + 1: sum of x x^T, without the ridge
    moment: Floats  # K, d + 1: sum of r x
    shift: Floats  # d
    scale: Floats  # d, > 0
    ridge: float  # lambda > 0

    @staticmethod
    def empty(
        arms: int,
        dimensions: int,
        *,
        shift: ArrayLike = 0.0,
        scale: ArrayLike = 1.0,
        ridge: float = 1.0,
    ) -> LinearArms:
        """Nothing learned yet.

        Args:
            arms: K.
            dimensions: d, figures of a context.
            shift: subtracted from contexts, scalar or shape (d,).
            scale: divides them, scalar or shape (d,), > 0.
            ridge: lambda > 0, in the units of the scaled contexts.

        Raises:
            ValueError: for a scale or ridge that is not above 0.
        """
        arms, d = check_int("arms", arms, 1), check_int("dimensions", dimensions, 1)
        check_finite("ridge", ridge, 1e-12)
        spread = np.broadcast_to(np.asarray(scale, dtype=np.float64), (d,)).copy()
        if not (np.isfinite(spread).all() and (spread > 0).all()):
            raise ValueError("scale must be finite and above 0 for every figure of the context")
        centre = np.broadcast_to(np.asarray(shift, dtype=np.float64), (d,)).copy()
        return LinearArms(
            np.zeros((arms, d + 1, d + 1)), np.zeros((arms, d + 1)), centre, spread, ridge
        )

    @staticmethod
    def standardised(contexts: ArrayLike, arms: int, ridge: float = 1.0) -> LinearArms:
        """Nothing learned yet, with shift and scale that standardise these contexts, (N, d)."""
        x = np.asarray(contexts, dtype=np.float64)
        spread = x.std(axis=0)
        spread[spread == 0.0] = 1.0
        return LinearArms.empty(arms, x.shape[1], shift=x.mean(axis=0), scale=spread, ridge=ridge)

    def design(self, contexts: ArrayLike) -> Floats:
        """Scaled contexts with a 1 appended, shape (N, d + 1)."""
        x = (np.asarray(contexts, dtype=np.float64) - self.shift) / self.scale
        return np.concatenate([x, np.ones((x.shape[0], 1))], axis=1)

    def updated(
        self, contexts: ArrayLike, arms: ArrayLike, rewards: ArrayLike, forget: float = 1.0
    ) -> LinearArms:
        """The statistics after more decisions.

        Args:
            contexts: shape (N, d).
            arms: arm of each decision, shape (N,), 0..K-1.
            rewards: shape (N,).
            forget: weight kept by what was known before, in [0, 1]; 1 forgets nothing.

        Raises:
            ValueError: for shapes that do not fit, arms out of range or values not finite.
        """
        x, r, k = self.design(contexts), np.asarray(rewards, dtype=np.float64), np.asarray(arms)
        if r.shape != (x.shape[0],) or k.shape != r.shape:
            raise ValueError(
                f"{x.shape[0]} contexts need as many arms and rewards, got {k.shape}, {r.shape}"
            )
        if k.size and not (0 <= k.min() <= k.max() < self.moment.shape[0]):
            raise ValueError(f"arms must lie in 0..{self.moment.shape[0] - 1}")
        if not (np.isfinite(x).all() and np.isfinite(r).all()):
            raise ValueError("contexts and rewards must be finite")
        forget = check_finite("forget", forget, 0.0, 1.0)
        gram, moment = forget * self.gram, forget * self.moment
        for arm in np.unique(k):
            rows = x[k == arm]
            gram[arm] += rows.T @ rows
            moment[arm] += rows.T @ r[k == arm]
        return LinearArms(gram, moment, self.shift, self.scale, self.ridge)

    @cached_property
    def _inverse(self) -> Floats:
        eye = np.eye(self.gram.shape[1])
        return np.asarray(np.linalg.inv(self.gram + self.ridge * eye))

    @property
    def theta(self) -> Floats:
        """Estimated coefficients, shape (K, d + 1)."""
        return np.asarray(np.einsum("kij,kj->ki", self._inverse, self.moment))

    def predict(self, contexts: ArrayLike) -> tuple[Floats, Floats]:
        r"""Estimated reward and its width :math:`\sqrt{x^\top A_k^{-1} x}`, both (N, K)."""
        x = self.design(contexts)
        variance = np.einsum("nd,kde,ne->nk", x, self._inverse, x, optimize=True)
        return x @ self.theta.T, np.sqrt(np.maximum(variance, 0.0))

    def save(self, path: Path, **settings: Any) -> None:
        """Write to one ``.npz`` file, with further settings as scalars."""
        with atomic_write(path) as stream:
            np.savez(
                stream,
                gram=self.gram,
                moment=self.moment,
                shift=self.shift,
                scale=self.scale,
                ridge=self.ridge,
                **settings,
            )

    @staticmethod
    def load(path: Path) -> tuple[LinearArms, dict[str, Any]]:
        """Read what :meth:`save` wrote: the statistics and the settings.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not such a file.
        """
        names = ("gram", "moment", "shift", "scale", "ridge")
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in names if name not in file.files]
            if missing:
                raise ValueError(f"{path} holds no linear bandit: {', '.join(missing)} missing")
            arrays = {name: file[name] for name in file.files}
        gram, moment, shift, scale, ridge = (arrays.pop(name) for name in names)
        settings = {name: value.item() for name, value in arrays.items()}
        return LinearArms(gram, moment, shift, scale, float(ridge)), settings
