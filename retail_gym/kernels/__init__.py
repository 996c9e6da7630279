"""Kernels: what computes a week. All of them give the same decisions."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from retail_gym.config import check_choice
from retail_gym.kernels.base import Kernel, Memory, Offer, PlainMemory, Purchases, Request
from retail_gym.kernels.layered import has_layers
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
    return not has_layers(world)


def make_kernel(kernel: str | Kernel | None = None, world: World | None = None) -> Kernel:
    """Return a kernel by name, by default the fastest that knows the store; objects as they are.

    Args:
        kernel: name, object, or None.
        world: the store it is for, if known: one whose layers a named kernel does not know is
            computed by the reference kernel.

    Raises:
        ValueError: for an unknown name, naming the kernels there are, or an object that does not
            know the store's layers.
    """
    if kernel is None or isinstance(kernel, str):
        name = DEFAULT if kernel is None else kernel
        check_choice("kernel", name, KERNELS)
        module, cls = KERNELS[name]
        made: Kernel = getattr(import_module(module), cls)()
        return made if world is None or supports(made, world) else ReferenceKernel()
    if world is not None and not supports(kernel, world):
        raise ValueError(
            f"the kernel {kernel.name!r} does not know the layers of {world!r}: leave the kernel "
            "out, or take 'reference'"
        )
    return kernel
