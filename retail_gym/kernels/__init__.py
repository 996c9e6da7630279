"""Kernels: what computes a week. All of them give the same decisions."""

from __future__ import annotations

from typing import Final

from retail_gym.config import check_choice
from retail_gym.kernels.base import Kernel, Memory, Offer, Purchases
from retail_gym.kernels.reference import ReferenceKernel

__all__ = ["KERNELS", "Kernel", "Memory", "Offer", "Purchases", "make_kernel"]

KERNELS: Final[dict[str, type[Kernel]]] = {"reference": ReferenceKernel}
#: The fastest kernel present.
DEFAULT: Final = "reference"


def make_kernel(name: str | None = None) -> Kernel:
    """Return a kernel by name, by default the fastest.

    Raises:
        ValueError: for an unknown name, naming the kernels there are.
    """
    if name is None:
        name = DEFAULT
    check_choice("kernel", name, KERNELS)
    return KERNELS[name]()
