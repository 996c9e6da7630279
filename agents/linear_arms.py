r"""Ridge regression of the reward on the context, one per arm: what LinUCB and LinTS share.

.. math:: A_k = \lambda I + \sum x x^\top,\quad b_k = \sum r x,\quad \hat\theta_k = A_k^{-1} b_k

summed over the decisions in which arm k was taken; x is the context with a 1 appended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym.config import atomic_write, check_finite, check_int
from retail_gym.envs.coupons import COUPON_LEVELS
from retail_gym.world.storage import read_arrays

Floats = NDArray[np.float64]

__all__ = ["DEFAULTS", "LinearArms", "LinearPolicy", "check_arrays", "fit_arms"]

#: Hyper-parameters of the linear bandits.
DEFAULTS: Final[dict[str, Any]] = {"alpha": 0.1, "ridge": 1.0, "online_episodes": 0}


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
    def load(path: Path, *settings: str) -> tuple[LinearArms, list[float]]:
        """Read what :meth:`save` wrote.

        Args:
            path: of the file.
            *settings: names of the further settings to read.

        Returns:
            The statistics, and the values of the settings.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not such a file, or its arrays do not fit together.
        """
        arrays = read_arrays(path)
        names = ("gram", "moment", "shift", "scale", "ridge", *settings)
        missing = [name for name in names if name not in arrays]
        if missing:
            raise ValueError(f"{path} holds no linear bandit: {', '.join(missing)} missing")
        gram, moment, shift, scale = (arrays[name] for name in names[:4])
        arms, size = moment.shape if moment.ndim == 2 else (0, 0)
        shapes = {"gram": (arms, size, size), "moment": (arms, size), "shift": (size - 1,)}
        shapes |= {"scale": (size - 1,)} | dict.fromkeys(names[4:], ())
        check_arrays(path, arrays, shapes)
        if not ((scale > 0.0).all() and arrays["ridge"] > 0.0):
            raise ValueError(f"{path} is damaged: scale and ridge must be above 0")
        model = LinearArms(gram, moment, shift, scale, float(arrays["ridge"]))
        return model, [float(arrays[name]) for name in settings]


def fit_arms(contexts: Any, arms: Any, rewards: Any, ridge: float) -> LinearArms:
    """Statistics of the coupon levels, of logged decisions with standardised contexts."""
    model = LinearArms.standardised(contexts, COUPON_LEVELS.size, ridge)
    return model.updated(contexts, arms, rewards)


class LinearPolicy:
    """What the linear bandits share: statistics of the arms, learning, a file.

    Args:
        model: statistics of the arms.
        alpha: weight of their width, >= 0; 0 is greedy.
        forget: what an update keeps of earlier statistics, in [0, 1].
    """

    file: ClassVar[str]  # of ``save``, in its folder

    def __init__(self, model: LinearArms, alpha: float = 1.0, forget: float = 1.0) -> None:
        self.model = model
        self.alpha = check_finite("alpha", alpha, 0.0)
        self.forget = check_finite("forget", forget, 0.0, 1.0)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(alpha={self.alpha})"

    def update(self, contexts: ArrayLike, arms: ArrayLike, rewards: ArrayLike) -> None:
        """Learn from decisions: contexts (N, d), arms (N,), rewards (N,)."""
        self.model = self.model.updated(contexts, arms, rewards, self.forget)

    def save(self, directory: Path) -> None:
        """Write the policy's file."""
        self.model.save(Path(directory) / self.file, alpha=self.alpha, forget=self.forget)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """The policy that :meth:`save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is not such a file.
        """
        model, (alpha, forget) = LinearArms.load(Path(directory) / cls.file, "alpha", "forget")
        return cls(model, alpha, forget)


def check_arrays(
    path: Path, arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Refuse arrays of a file that have other shapes or are not finite numbers.

    Raises:
        ValueError: naming the file and the array.
    """
    for name, shape in shapes.items():
        value = arrays[name]
        sound = value.shape == shape and value.dtype.kind in "fiu" and np.isfinite(value).all()
        if not sound or (shape and min(shape) < 1):
            raise ValueError(
                f"{path} is damaged: {name} must hold finite numbers of shape {shape}, it has "
                f"{value.dtype} of shape {value.shape}. Train or save the policy again"
            )
