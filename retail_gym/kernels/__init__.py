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


def make_kernel(kernel: str | Kernel | None = None) -> Kernel:
    """Return a kernel by name, by default the fastest; a kernel object is returned as it is.

    Raises:
        ValueError: for an unknown name, naming the kernels there are.
    """
    if kernel is not None and not isinstance(kernel, str):
        return kernel
    name = DEFAULT if kernel is None else kernel
    check_choice("kernel", name, KERNELS)
    return KERNELS[name]()
