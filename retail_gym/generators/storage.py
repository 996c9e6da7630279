"""The generators by kind, and reading one from a file."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from retail_gym.config import check_choice
from retail_gym.generators.base import FORMAT, Generator
from retail_gym.generators.calendar import Calendar
from retail_gym.generators.shelf import Shelf
from retail_gym.world.storage import read_arrays

__all__ = ["KINDS", "generator_class", "load"]

#: Kind -> file of this room and class; loaded when used, as some need PyTorch.
KINDS: Final = {
    "marginals": ("marginals", "Marginals"),
    "copula": ("copula", "GaussianCopula"),
    "vae": ("vae", "VAE"),
    "gan": ("gan", "GAN"),
    "dp-gan": ("private_gan", "PrivateGAN"),
}


def from_file(module: str, name: str) -> Any:
    """A name of one of this room's files.

    Raises:
        ModuleNotFoundError: where that needs PyTorch and it is not installed.
    """
    try:
        return getattr(import_module(f"retail_gym.generators.{module}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ModuleNotFoundError(
            f"{name} needs PyTorch: pip install torch (or retail-gym's extra: generators)",
            name="torch",
        ) from None


def generator_class(kind: str) -> type[Generator]:
    """The class of a kind.

    Raises:
        ValueError: for an unknown kind.
        ModuleNotFoundError: for a neural one without PyTorch.
    """
    check_choice("generator", kind, KINDS)
    found: type[Generator] = from_file(*KINDS[kind])
    return found


def load(path: str | os.PathLike[str]) -> Generator:
    """Read a generator that :meth:`Generator.save` has written; nothing in the file is run.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or no generator.
    """
    file = Path(path)
    arrays = read_arrays(file)
    kind = str(arrays.pop("kind", ""))
    if str(arrays.pop("format", "")) != FORMAT or kind not in KINDS:
        raise ValueError(f"{file} holds no generator of this version: fit and save it again")
    parts: dict[str, dict[str, Any]] = {"calendar": {}, "shelf": {}, "own": {}}
    try:
        for key, value in arrays.items():
            part, _, name = key.partition(".")
            parts[part][name] = value
        calendar, shelf = Calendar(**parts["calendar"]), Shelf(**parts["shelf"])
        return generator_class(kind).from_arrays(calendar, shelf, parts["own"])
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{file} is incomplete ({error}): fit and save it again") from None
