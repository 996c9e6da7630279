"""Layer on product choice: buying again what was bought before."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]

__all__ = ["remember", "repeated_product"]


def repeated_product(recent_h: ArrayLike, repeat: float, uniform: float) -> int | None:
    r"""The past product that is bought again, if this choice is a repetition.

    With probability phi one of the H remembered purchases, each as likely as another; one draw
    decides both: it repeats where :math:`v < \phi`, and then :math:`v / \phi` is uniform again.

    Args:
        recent_h: products bought last in the category, by number or by place in the category,
            shape (H,); negative: none yet.
        repeat: phi in [0, 1].
        uniform: a draw v in (0, 1).

    Returns:
        The product; None where the choice is made anew.

    Source: not in the paper, whose customers have no memory of products.
    """
    known = np.asarray(recent_h)
    known = known[known >= 0]
    if known.size == 0 or not uniform < repeat:
        return None
    return int(known[min(int(uniform / repeat * known.size), known.size - 1)])


def remember(recent_h: ArrayLike, product: int) -> Ints:
    """The memory after a purchase: the newest first, the oldest forgotten.

    Args:
        recent_h: products bought last, newest first, shape (H,); negative: none.
        product: the product bought.

    Returns:
        The new memory, shape (H,).

    Source: not in the paper.
    """
    recent = np.asarray(recent_h)
    return np.concatenate([np.array([product], dtype=recent.dtype), recent[:-1]])
