"""Kernels: what computes a week. All of them give the same decisions."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from retail_gym.config import check_choice
from retail_gym.kernels.base import Kernel, Memory, Offer, PlainMemory, Purchases, Request

__all__ = [
    "KERNELS",
    "Kernel",
    "Memory",
    "Offer",
    "PlainMemory",
    "Purchases",
    "Request",
    "make_kernel",
]

#: Name -> where it lives; the compiled one is imported on first use.
KERNELS: Final[dict[str, tuple[str, str]]] = {
    "reference": ("retail_gym.kernels.reference", "ReferenceKernel"),
    "numba": ("retail_gym.kernels.numba_cpu", "NumbaKernel"),
}
#: The fastest kernel present.
DEFAULT: Final = "numba"


def make_kernel(kernel: str | Kernel | None = None) -> Kernel:
    """Return a kernel by name, by default the fastest; a kernel object is returned as it is.

    Raises:
        ValueError: for an unknown name, naming the kernels there are.
    """
    if kernel is not None and not isinstance(kernel, str):
        return kernel
    name = DEFAULT if kernel is None else kernel
    check_choice("kernel", name, KERNELS)
    module, cls = KERNELS[name]
    made: Kernel = getattr(import_module(module), cls)()
    return made
