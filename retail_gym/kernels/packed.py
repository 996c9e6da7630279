"""A world in the form the compiled kernel reads: contiguous, single precision, log2 units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.kernels.single import LOG2E
from retail_gym.world.population import SYMBOLS, Coefficients, DrawnCoefficients
from retail_gym.world.priors import Constant, LogNormal
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]

__all__ = ["Double", "Packed", "Single", "pack"]

#: Largest feature X and standard Gumbel in absolute value, rounded up: they are bounded.
LARGEST_FEATURE: Final = 14.0
LARGEST_NOISE: Final = 15.0


class Single(NamedTuple):
    """Arrays of the single-precision passes, in log2 units.

    Of coefficients that are drawn again every time (``heads`` not empty), ``base``, ``sigma``
    and ``size_uj`` are empty; of those that are the same for everybody there is one row.
    """

    item_hash: NDArray[np.uint32]  # I
    base: Floats32  # U, I: beta_z Z (+ beta_x m)
    sigma: Floats32  # U, I: beta_x (times s)
    price_weight: Floats32  # U: c beta_u
    start: Ints  # J
    stop: Ints  # J
    size_uj: Floats32  # U, J: bound on |base| + |sigma X| + |eps| in a category
    size_u: Floats32  # U: largest of size_uj
    noise_size: np.float32  # bound on |eps|
    heads: NDArray[np.uint64]  # 5: streams of SYMBOLS
    laws: Floats32  # 2, 2: mean and spread of log2 beta_x and beta_z
    normal: tuple[np.float32, ...]  # 4: odd powers
    z: Floats32  # I
    persistent: bool


class Double(NamedTuple):
    """Arrays of the double-precision evaluation of single elements, as the oracle has them."""

    beta_x: Floats32  # U, I; empty where drawn
    beta_z: Floats32  # U, I
    gamma_prod_1: Floats32  # U, I
    mean: Floats32  # U, I; empty also where features are resampled
    scale: Floats32  # U, I
    heads: NDArray[np.uint64]  # 5: streams of SYMBOLS
    tables: Floats32  # 5, 1021: their values by byte sum; empty where stored
    z: Floats  # I
    weight_u: Floats  # U: c beta_u
    beta_i: Floats  # I
    feature: Floats  # 1021: X (or its normal part) by byte sum
    noise: Floats  # 1021: eps by byte sum
    persistent: bool
    gamma_prod_0: Floats  # I


@dataclass(frozen=True)
class Packed:
    """Both forms and the small vectors they share."""

    single: Single
    double: Double
    category_hash: NDArray[np.uint32]  # J
    gamma_cate_0: Floats  # J
    gamma_cate_1: Floats  # J
    log_size: Floats  # J: log of the number of products
    feature_coefficients: tuple[np.float32, ...]  # 5, odd powers
    noise_coefficients: Floats  # 9, log2 units, without the cap
    lazy: bool  # whether draws settle most of a week: a cap, no inertia, values that attract
    weeks_kept: int  # until inertia has forgotten an error of single precision


_packed: WeakKeyDictionary[World, Packed] = WeakKeyDictionary()


def pack(world: World) -> Packed:
    """The packed form of a world, made once."""
    found = _packed.get(world)
    if found is None:
        found = _packed[world] = _pack(world)
    return found


def _pack(world: World) -> Packed:
    given, inertia = _once(world.coefficients), float(world.theta.max())
    persistent = given.persistent
    noise_size = np.float32(LOG2E * (abs(world.eps_loc) + LARGEST_NOISE * world.eps_scale))
    heads, laws, tables = _streams(given)
    beta_x, beta_z, gamma_prod_1, mean, scale = _arrays(given)
    if isinstance(given, Coefficients):
        base, sigma, size = _rows(world, given)
        size = np.repeat(size + noise_size, world.n_customers // len(size), axis=0)
    else:
        base, sigma, size = (np.zeros((0, 0), dtype=np.float32) for _ in range(3))
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
            size.max(axis=1, initial=0.0),
            noise_size,
            heads,
            laws,
            tuple(np.float32(c) for c in rng.NORMAL_COEFFICIENTS[1::2]),
            world.z.astype(np.float32),
            persistent,
        ),
        double=Double(
            beta_x,
            beta_z,
            gamma_prod_1,
            mean,
            scale,
            heads,
            tables,
            world.z,
            world.c * world.beta_u,
            world.beta_i,
            np.array(rng.normal_lattice() if persistent else rng.feature_lattice()),
            world.eps_loc + world.eps_scale * rng.gumbel_lattice(),
            persistent,
            world.gamma_prod_0,
        ),
        category_hash=rng.item_hash(world.n_categories).copy(),
        gamma_cate_0=world.gamma_cate_0,
        gamma_cate_1=world.gamma_cate_1,
        log_size=np.log(world.category_sizes),
        feature_coefficients=tuple(np.float32(c) for c in (*odd, 0.0)[:5]),
        noise_coefficients=noise,
        lazy=world.cap_reference.percentile < 100.0
        and not world.theta.any()
        and world.gamma_store_1 >= 0.0
        and bool((world.gamma_cate_1 >= 0.0).all()),
        weeks_kept=1 if inertia == 0.0 else min(64, math.ceil(math.log(1e-13) / math.log(inertia))),
    )


def _once(given: Coefficients | DrawnCoefficients) -> Coefficients | DrawnCoefficients:
    """One row of coefficients where those of all customers are the same; else as they are."""
    if given.persistent:
        return given
    if isinstance(given, DrawnCoefficients):
        laws = [given.config.prior(symbol) for symbol in SYMBOLS[:3]]
        if not all(isinstance(law, Constant) for law in laws):
            return given
        row = given.rows(np.arange(1))
        for symbol in SYMBOLS[:3]:
            getattr(row, symbol).flags.writeable = False  # one type for the compiler
        return row
    for symbol in SYMBOLS[:3]:
        values = getattr(given, symbol)
        if not all(np.array_equal(values[0], row) for row in values):
            return given
    return given.rows(slice(0, 1))


def _rows(world: World, given: Coefficients) -> tuple[Floats32, Floats32, Floats32]:
    """``base``, ``sigma`` and the bound on both, of coefficients that are stored."""
    base = np.empty(given.beta_x.shape, dtype=np.float32)
    sigma = np.empty_like(base)
    size = np.empty((len(base), world.n_categories), dtype=np.float32)
    for u in range(len(base)):  # a row at a time: no large double-precision copies
        row = given.beta_z[u] * world.z
        spread = given.beta_x[u].astype(np.float64)
        if given.feature_mean is not None and given.feature_scale is not None:
            row = row + spread * given.feature_mean[u]
            spread = spread * given.feature_scale[u]
        base[u] = LOG2E * row
        sigma[u] = LOG2E * spread
        both = np.abs(base[u]) + LARGEST_FEATURE * np.abs(sigma[u])
        size[u] = np.maximum.reduceat(both, world.category_start)
    return base, sigma, size


def _streams(
    given: Coefficients | DrawnCoefficients,
) -> tuple[NDArray[np.uint64], Floats32, Floats32]:
    """Stream heads, log2 laws of beta_x and beta_z, and tables by byte sum; empty where stored."""
    if isinstance(given, Coefficients):
        return np.zeros(0, np.uint64), np.zeros((2, 2), np.float32), np.zeros((0, 0), np.float32)
    config, seed = given.config, given.seed
    stages = [rng.symbol_stage(symbol) for symbol in SYMBOLS]
    heads = np.array([rng.stream_head(seed, 0, stage) for stage in stages], dtype=np.uint64)
    sums = np.arange(rng.normal_lattice().size)  # a word of each byte sum: its bytes in turn
    b0, b1, b2, b3 = (np.clip(sums - 255 * b, 0, 255).astype(np.uint32) for b in range(4))
    every = np.asarray(b0 | b1 << 8 | b2 << 16 | b3 << 24, dtype=np.uint32)
    drawn = [config.prior(symbol).from_words(every) for symbol in SYMBOLS[:3]]
    normal = rng.normal_lattice()
    laws = []
    for prior in (config.prior("beta_x"), config.prior("beta_z")):
        if isinstance(prior, LogNormal):
            laws.append((LOG2E * prior.mu, LOG2E * prior.sigma))
        elif isinstance(prior, Constant):
            laws.append((max(math.log2(max(prior.value, 1e-300)), -126.0), 0.0))
    tables = np.array([*drawn, normal, np.abs(normal)], dtype=np.float32)
    return heads, np.array(laws, dtype=np.float32), tables


def _arrays(given: Coefficients | DrawnCoefficients) -> list[Any]:
    empty = np.zeros((0, 0), dtype=np.float32)
    empty.flags.writeable = False  # one type for the compiler, with the arrays of a world
    values = (getattr(given, symbol, None) for symbol in SYMBOLS)
    return [empty if value is None else value for value in values]
