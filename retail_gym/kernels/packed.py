"""A world in the form the compiled kernel reads: contiguous, single precision, log2 units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.kernels.single import LOG2E
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]

__all__ = ["Double", "Packed", "Single", "pack"]

#: Largest feature X and standard Gumbel in absolute value, rounded up: they are bounded.
LARGEST_FEATURE: Final = 14.0
LARGEST_NOISE: Final = 15.0


class Single(NamedTuple):
    """Arrays of the single-precision passes, in log2 units."""

    item_hash: NDArray[np.uint32]  # I
    base: Floats32  # U, I: beta_z Z (+ beta_x m)
    sigma: Floats32  # U, I: beta_x (times s)
    price_weight: Floats32  # U: c beta_u
    start: Ints  # J
    stop: Ints  # J
    size_uj: Floats32  # U, J: bound on |base| + |sigma X| + |eps| in a category


class Double(NamedTuple):
    """Arrays of the double-precision evaluation of single elements, as the oracle has them."""

    beta_x: Floats32  # U, I
    beta_z: Floats32  # U, I
    z: Floats  # I
    weight_u: Floats  # U: c beta_u
    beta_i: Floats  # I
    feature: Floats  # 1021: X (or its normal part) by byte sum
    noise: Floats  # 1021: eps by byte sum
    mean: Floats32  # U, I; empty where features are resampled
    scale: Floats32  # U, I
    gamma_prod_0: Floats  # I
    gamma_prod_1: Floats32  # U, I


@dataclass(frozen=True)
class Packed:
    """Both forms and the small vectors they share."""

    single: Single
    double: Double
    size_u: Floats32  # U: largest of size_uj
    category_hash: NDArray[np.uint32]  # J
    gamma_cate_0: Floats  # J
    gamma_cate_1: Floats  # J
    log_size: Floats  # J: log of the number of products
    feature_coefficients: tuple[np.float32, ...]  # 5, odd powers
    noise_coefficients: Floats  # 9, log2 units, without the cap


_packed: WeakKeyDictionary[World, Packed] = WeakKeyDictionary()


def pack(world: World) -> Packed:
    """The packed form of a world, made once."""
    found = _packed.get(world)
    if found is None:
        found = _packed[world] = _pack(world)
    return found


def _pack(world: World) -> Packed:
    persistent = world.feature_mean is not None and world.feature_scale is not None
    empty = np.zeros((0, 0), dtype=np.float32)
    empty.flags.writeable = False  # one type for the compiler, with the arrays of a world
    mean = world.feature_mean if world.feature_mean is not None else empty
    scale = world.feature_scale if world.feature_scale is not None else empty
    base = np.empty(world.beta_x.shape, dtype=np.float32)
    sigma = np.empty_like(base)
    for u in range(world.n_customers):  # a row at a time: no large double-precision copies
        row = world.beta_z[u] * world.z
        spread = world.beta_x[u].astype(np.float64)
        if persistent:
            row = row + spread * mean[u]
            spread = spread * scale[u]
        base[u] = LOG2E * row
        sigma[u] = LOG2E * spread
    noise_size = LOG2E * (abs(world.eps_loc) + LARGEST_NOISE * world.eps_scale)
    size = np.float32(noise_size) + np.maximum.reduceat(
        np.abs(base) + np.float32(LARGEST_FEATURE) * np.abs(sigma), world.category_start, axis=1
    )
    odd = (rng.NORMAL_COEFFICIENTS if persistent else rng.FEATURE_COEFFICIENTS)[1::2]
    noise = LOG2E * world.eps_scale * np.array(rng.GUMBEL_COEFFICIENTS)
    noise[0] += LOG2E * world.eps_loc
    return Packed(
        single=Single(
            rng.item_hash(world.n_products).copy(),
            base,
            sigma,
            (LOG2E * world.c * world.beta_u).astype(np.float32),
            world.category_start.copy(),
            world.category_start + world.category_sizes,
            size,
        ),
        double=Double(
            world.beta_x,
            world.beta_z,
            world.z,
            world.c * world.beta_u,
            world.beta_i,
            np.array(rng.normal_lattice() if persistent else rng.feature_lattice()),
            world.eps_loc + world.eps_scale * rng.gumbel_lattice(),
            mean,
            scale,
            world.gamma_prod_0,
            world.gamma_prod_1,
        ),
        size_u=size.max(axis=1),
        category_hash=rng.item_hash(world.n_categories).copy(),
        gamma_cate_0=world.gamma_cate_0,
        gamma_cate_1=world.gamma_cate_1,
        log_size=np.log(world.category_sizes),
        feature_coefficients=tuple(np.float32(c) for c in (*odd, 0.0)[:5]),
        noise_coefficients=noise,
    )
