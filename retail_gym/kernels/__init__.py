"""Kernels: what computes a week. All of them give the same decisions."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_choice
from retail_gym.kernels.base import Kernel, Memory, Offer, PlainMemory, Purchases, Request
from retail_gym.kernels.reference import ReferenceKernel
from retail_gym.world.world import World

__all__ = [
    "KERNELS",
    "Kernel",
    "Memory",
    "Offer",
    "PlainMemory",
    "Purchases",
    "Request",
    "WithReference",
    "make_kernel",
    "supports",
]

#: Name -> where it lives; the compiled one is imported on first use.
KERNELS: Final[dict[str, tuple[str, str]]] = {
    "reference": ("retail_gym.kernels.reference", "ReferenceKernel"),
    "numba": ("retail_gym.kernels.numba_cpu", "NumbaKernel"),
}
#: The fastest kernel present.
DEFAULT: Final = "numba"


def supports(kernel: Kernel, world: World) -> bool:
    """Whether a kernel computes a store as it is; one that does not say knows no layers."""
    says = getattr(kernel, "supports", None)
    if says is not None:
        return bool(says(world))
    return world.layers is None or not world.layers.config.change_decisions


class WithReference:
    """A kernel, and the reference kernel for the stores whose layers it does not know."""

    def __init__(self, kernel: Kernel) -> None:
        self.name = kernel.name
        self._kernel = kernel
        self._reference = ReferenceKernel()

    @property
    def counts(self) -> NDArray[np.int64]:
        """Work that the kernel counted, where it does."""
        return np.asarray(getattr(self._kernel, "counts", np.zeros(5, dtype=np.int64)))

    def weeks(self, world: World, requests: Sequence[Request]) -> list[tuple[Memory, Purchases]]:
        """One week in each episode; see :class:`retail_gym.kernels.base.Kernel`."""
        kernel: Kernel = self._kernel if supports(self._kernel, world) else self._reference
        return kernel.weeks(world, requests)


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
    return made if hasattr(made, "supports") else WithReference(made)
