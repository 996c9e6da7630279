r"""One utility in single precision: the bits, the noise, the exponential. Inlined everywhere.

The element (u, i) of a week, in log2 units so that one exp2 does everything::

    item hash a_i --.
    key k1, k2 ------+--> word --> byte sum --> s --> X   (odd polynomial)  --.
                          |                                                   |
                          '-> second word --> r --> eps (polynomial) --.      |
                                                                       v      v
    x = min( base_ui + w_u v_i + eps + sigma_ui X - cap , 0 ),   e = 2^x

``base`` holds what does not change (beta_z Z, and beta_x m where features persist), ``sigma`` is
beta_x (times s), ``w_u v_i`` is the price term, c beta_u times beta_i log P: rank one, so the
week's prices cost one vector, not one matrix. The word and the polynomials are those of
:mod:`retail_gym.rng`; a test holds the two to the same bits.

Traps that this file steps around: Numba promotes uint32 arithmetic to 64 bits, so every
operation is narrowed back; ``reassoc`` would fold the rounding of ``exp2`` away, so it is not
among the fast-math flags; conversion from uint32 is slow, so byte sums convert as signed.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from retail_gym import rng

__all__ = [
    "FAST", "LOG2E", "byte_sum", "element", "exp2", "lognormal", "normal", "prefetch",
    "vector_sum", "words",
]  # fmt: skip

u32, i32, f32 = np.uint32, np.int32, np.float32

FAST: Final = {"contract", "nnan", "ninf", "nsz", "arcp"}
LOG2E: Final = 1.4426950408889634

_M1, _M2 = rng.M1, rng.M2
_SCALE = f32(rng.BYTE_SUM_SCALE)
_OFFSET = f32(-510.0 * rng.BYTE_SUM_SCALE)
_PAIRS = u32(0x00FF00FF)
_ROUND = f32(12582912.0)  # 1.5 * 2**23: adding it rounds to the nearest integer
_E1, _E2, _E3, _E4, _E5 = (
    f32(c) for c in (0.693146978, 0.240222421, 0.0555073396, 0.00967151132, 0.00132646524)
)


@intrinsic
def _float_bits(context: Any, x: Any) -> Any:  # pragma: no cover (compiled)
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), generate


@intrinsic
def _bits_float(context: Any, x: Any) -> Any:  # pragma: no cover (compiled)
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def _small_float(context: Any, x: Any) -> Any:  # pragma: no cover (compiled)
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.sitofp(args[0], ir.FloatType())

    return types.float32(types.uint32), generate


@intrinsic
def _shift_left(context: Any, x: Any, n: Any) -> Any:  # pragma: no cover (compiled)
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.shl(args[0], args[1])

    return types.int32(types.int32, types.int32), generate


@njit(inline="always")
def byte_sum(h: Any) -> Any:
    """Sum of the four bytes of a word (``rng.byte_sum``)."""
    y = u32(u32(h & _PAIRS) + u32(u32(h >> u32(8)) & _PAIRS))
    return u32(u32(y + u32(y >> u32(16))) & u32(0xFFFF))


@njit(inline="always")
def exp2(x: Any) -> Any:
    """2^x in single precision, relative error 3e-7; x below -126 counts as -126."""
    x = max(x, f32(-126.0))
    t = f32(x + _ROUND)
    f = f32(x - f32(t - _ROUND))
    p = f32(_E5 * f + _E4)
    p = f32(p * f + _E3)
    p = f32(p * f + _E2)
    p = f32(p * f + _E1)
    p = f32(p * f + f32(1.0))
    return _bits_float(i32(_float_bits(p) + _shift_left(_float_bits(t), i32(23))))


@njit(inline="always")
def words(a: Any, k1: Any, k2: Any) -> Any:
    """The two words of an element (``rng.words`` and ``rng.second_word``)."""
    h = u32(u32(a ^ k1) * k2)
    h = u32(h ^ u32(h >> u32(16)))
    h = u32(h * _M1)
    h = u32(h ^ u32(h >> u32(15)))
    g = u32(h * _M2)
    return h, u32(g ^ u32(g >> u32(12)))


@njit(fastmath=FAST, inline="always")
def element(a: Any, k1: Any, k2: Any, base: Any, sigma: Any, price: Any, x: Any, g: Any) -> Any:
    """Utility of an element in log2 units, less what ``g[0]`` has subtracted.

    Args:
        a: item hash; ``k1``, ``k2``: key halves.
        k1: low half.
        k2: high half, odd.
        base: constant part of the utility.
        sigma: scale of the feature.
        price: price term.
        x: five odd coefficients of the feature polynomial.
        g: nine coefficients of the noise polynomial, times its scale.
    """
    h, second = words(a, k1, k2)
    s = f32(_small_float(byte_sum(h)) * _SCALE + _OFFSET)
    r = f32(_small_float(byte_sum(second)) * _SCALE + _OFFSET)
    q = f32(s * s)
    feature = f32(x[4] * q + x[3])
    feature = f32(feature * q + x[2])
    feature = f32(feature * q + x[1])
    feature = f32(feature * q + x[0])
    noise = f32(g[8] * r + g[7])
    noise = f32(noise * r + g[6])
    noise = f32(noise * r + g[5])
    noise = f32(noise * r + g[4])
    noise = f32(noise * r + g[3])
    noise = f32(noise * r + g[2])
    noise = f32(noise * r + g[1])
    mu = f32(f32(base + price) + f32(noise * r + g[0]))
    return f32(mu + f32(sigma * f32(feature * s)))


@njit(fastmath=FAST, inline="always")
def normal(a: Any, k1: Any, k2: Any, n: Any) -> Any:
    """Standard normal coefficient of an item; ``n``: odd coefficients of ``rng.normal``."""
    h, _ = words(a, k1, k2)
    s = f32(_small_float(byte_sum(h)) * _SCALE + _OFFSET)
    q = f32(s * s)
    p = f32(n[3] * q + n[2])
    p = f32(p * q + n[1])
    p = f32(p * q + n[0])
    return f32(p * s)


@njit(fastmath=FAST, inline="always")
def lognormal(a: Any, k1: Any, k2: Any, n: Any, mean: Any, spread: Any) -> Any:
    """Log-normal coefficient of an item; ``mean`` and ``spread`` of its log2."""
    return exp2(f32(mean + f32(spread * normal(a, k1, k2, n))))


@intrinsic
def vector_sum(context: Any, values: Any, start: Any, stop: Any) -> Any:  # pragma: no cover
    """Sum of ``values[start:stop]`` (float32, a multiple of 16 long) in sixteen lanes.

    Written in LLVM's vector type because the loop vectoriser spends more on the short sums of
    categories than on all their mathematics: 1.5 us instead of 8 us per customer. The order of
    additions is fixed, so the sum does not depend on the processor.
    """
    signature = types.float32(types.Array(types.float32, 1, "C"), types.int64, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        lanes, index = ir.VectorType(ir.FloatType(), 16), ir.IntType(64)
        before, function = builder.block, builder.block.function
        head = function.append_basic_block("sum.head")
        body = function.append_basic_block("sum.body")
        done = function.append_basic_block("sum.done")
        builder.branch(head)
        builder.position_at_end(head)
        k, total = builder.phi(index), builder.phi(lanes)
        k.add_incoming(args[1], before)
        total.add_incoming(ir.Constant(lanes, [0.0] * 16), before)
        builder.cbranch(builder.icmp_signed("<", k, args[2]), body, done)
        builder.position_at_end(body)
        pointer = builder.bitcast(builder.gep(data, [k]), lanes.as_pointer())
        added = builder.fadd(total, builder.load(pointer, align=4))
        total.add_incoming(added, body)
        k.add_incoming(builder.add(k, ir.Constant(index, 16)), body)
        builder.branch(head)
        builder.position_at_end(done)
        half: Any = total
        for width in (8, 4, 2, 1):  # a fixed tree: 16 lanes to 8, to 4, to 2, to 1
            mask = ir.VectorType(ir.IntType(32), width)
            low = builder.shuffle_vector(half, half, ir.Constant(mask, list(range(width))))
            high = builder.shuffle_vector(
                half, half, ir.Constant(mask, list(range(width, 2 * width)))
            )
            half = builder.fadd(low, high)
        return builder.extract_element(half, ir.Constant(ir.IntType(32), 0))

    return signature, generate


@intrinsic
def prefetch(context: Any, values: Any, index: Any) -> Any:  # pragma: no cover (compiled)
    """Ask for the cache line of ``values[index]``; changes nothing but the wait for it.

    A lazy week reads a few short runs of a large array for each customer. Asked for one by one,
    they cost more than everything that is computed from them.
    """
    signature = types.void(values, types.int64)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        pointer = builder.bitcast(builder.gep(data, [args[1]]), byte)
        builder.call(ask, [pointer, word(0), word(3), word(1)])  # to read, to keep, data
        return context.get_dummy_value()

    return signature, generate
