"""Worlds and configurations on disk: one ``.npz`` with a schema version, or one TOML file."""

from __future__ import annotations

import errno
import io
import json
import os
import zipfile
import zlib
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import numpy as np

from retail_gym.config import atomic_write, to_plain
from retail_gym.world.layer_draws import ARRAYS, DrawnLayers
from retail_gym.world.layers import Layers
from retail_gym.world.population import SYMBOLS, Coefficients, DrawnCoefficients
from retail_gym.world.priors import as_prior
from retail_gym.world.reference import CapReference
from retail_gym.world.store_config import PromotionPlan, StoreConfig
from retail_gym.world.world import World

__all__ = [
    "SCHEMA_VERSION",
    "config_from_json",
    "config_from_mapping",
    "config_to_json",
    "load_world",
    "read_arrays",
    "save_world",
]

SCHEMA_VERSION: Final = 1
_FORMAT: Final = "retail_gym.World"


def config_to_json(config: StoreConfig) -> str:
    """One line of JSON that holds the whole configuration."""
    return json.dumps(to_plain(config), sort_keys=True)


def config_from_json(text: str) -> StoreConfig:
    """Inverse of :func:`config_to_json`."""
    return config_from_mapping(json.loads(text))


def config_from_mapping(table: dict[str, Any]) -> StoreConfig:
    """Make a configuration of plain values, as read from JSON or TOML.

    Raises:
        ValueError: naming missing or unknown fields.
    """
    names = {item.name for item in fields(StoreConfig)}
    unknown, values = set(table) - names, dict(table)
    if unknown:
        raise ValueError(
            f"unknown fields in the configuration: {', '.join(sorted(unknown))}. "
            f"Valid fields: {', '.join(sorted(names))}"
        )
    for name in {*StoreConfig.prior_names()} & values.keys():
        values[name] = as_prior(name, values[name])
    try:
        return StoreConfig(**values)
    except TypeError as error:
        raise ValueError(f"incomplete store configuration: {error}") from None


def read_arrays(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read every array of an ``.npz`` file; nothing in it is unpickled.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or no ``.npz`` file.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(errno.ENOENT, f"no file at {file}")
    try:
        # Opened here: NumPy leaves its own handle open where the archive is damaged.
        with file.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            return {
                name.removesuffix(".npy"): np.lib.format.read_array(
                    io.BytesIO(archive.read(name)), allow_pickle=False
                )
                for name in archive.namelist()
            }
    except (
        zipfile.BadZipFile, zlib.error, EOFError, KeyError, ValueError, OSError,
        NotImplementedError, RuntimeError,
    ) as error:  # fmt: skip
        raise ValueError(f"{file} is damaged or not an .npz file of arrays ({error})") from None


def save_world(world: World, path: str | os.PathLike[str]) -> Path:
    """Write a world to ``path`` (``.npz`` is added where it is missing) and return the path."""
    file = Path(path)
    if file.suffix != ".npz":
        file = file.with_name(file.name + ".npz")
    arrays: dict[str, Any] = {}
    scalars: dict[str, Any] = {}
    for item in fields(World):
        value = getattr(world, item.name)
        if isinstance(value, np.ndarray):
            arrays[item.name] = value
        elif isinstance(value, Coefficients):
            drawn = ((name, getattr(value, name)) for name in SYMBOLS)
            arrays |= {name: array for name, array in drawn if array is not None}
        elif isinstance(value, DrawnLayers):
            scalars[item.name] = to_plain(value.config)
            stored = ((f"layer_{name}", getattr(value, name)) for name in ARRAYS)
            arrays |= {name: array for name, array in stored if array is not None}
        elif isinstance(value, DrawnCoefficients):  # not kept: the file says how to draw them
            scalars[item.name] = config_to_json(value.config)
        elif item.name == "cap_reference":
            scalars["cap_percentile"] = value.percentile
            for name in ("product", "level", "slope"):
                arrays[f"cap_{name}"] = getattr(value, name)
        elif item.name == "stored_reward_scale":
            scalars[item.name] = world.reward_scale
        else:
            scalars[item.name] = to_plain(value)
    header = {"format": _FORMAT, "schema_version": SCHEMA_VERSION, **scalars}
    with atomic_write(file) as stream:
        np.savez(stream, header=np.array(json.dumps(header)), **arrays)
    return file


def load_world(path: str | os.PathLike[str]) -> World:
    """Read a world written by :func:`save_world`."""
    file = Path(path)
    if file.suffix != ".npz" and not file.is_file():
        file = file.with_name(file.name + ".npz")
    content = read_arrays(file)
    try:
        header = json.loads(str(content.pop("header")[()]))
        found = (header.pop("format"), header.pop("schema_version"))
    except (KeyError, ValueError, TypeError, AttributeError):
        raise ValueError(
            f"{file} is an .npz file but not a retail_gym world. To make a world of your own "
            "arrays use World.from_arrays"
        ) from None
    if found != (_FORMAT, SCHEMA_VERSION):
        raise ValueError(
            f"{file} has format {found[0]} version {found[1]}; this release reads {_FORMAT} "
            f"version {SCHEMA_VERSION}. Save the world again with this release"
        )
    try:
        cap = CapReference(
            header.pop("cap_percentile"),
            *(content.pop(f"cap_{name}") for name in ("product", "level", "slope")),
        )
        plan = PromotionPlan.from_mapping(header.pop("promotion"))
        pairs, layers = _coefficients(header, content), _layers(header, content)
        world = World(
            **header,
            **content,
            coefficients=pairs,
            promotion=plan,
            cap_reference=cap,
            layers=layers,
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} is incomplete ({error}). Save the world again") from None
    _check(world, file)
    return world


def _coefficients(
    header: dict[str, Any], content: dict[str, Any]
) -> Coefficients | DrawnCoefficients:
    """Take the coefficients per customer and product out of a file's content."""
    text = header.pop("coefficients", None)
    if text is not None:
        return DrawnCoefficients(config_from_json(text), int(header["seed"]))
    optional = {"feature_mean": None, "feature_scale": None}
    return Coefficients(**optional | {n: content.pop(n) for n in SYMBOLS if n in content})


def _layers(header: dict[str, Any], content: dict[str, Any]) -> DrawnLayers | None:
    """Take the layers out of a file's content."""
    config = header.pop("layers", None)
    if config is None:
        return None
    names = (name for name in ARRAYS if f"layer_{name}" in content)
    drawn = {name: content.pop(f"layer_{name}") for name in names}
    return DrawnLayers(Layers(**config), **drawn)


def _check(world: World, file: Path) -> None:
    """Refuse a file whose arrays do not fit together."""
    n_u, n_j, n_i = world.beta_u.size, world.category_sizes.size, int(world.category_sizes.sum())
    shapes = {
        "theta": (n_u,), "beta_u": (n_u,), "gamma_cate_0": (n_j,), "gamma_cate_1": (n_j,),
        "beta_i": (n_i,), "z": (n_i,), "alpha_0": (n_i,), "base_price": (n_i,),
        "gamma_prod_0": (n_i,),
    }  # fmt: skip
    drawn = isinstance(world.coefficients, DrawnCoefficients)
    pairs = {} if drawn else dict.fromkeys(SYMBOLS, (n_u, n_i))
    values: dict[str, tuple[Any, tuple[int, ...]]]
    values = {name: (getattr(world, name), shape) for name, shape in (shapes | pairs).items()}
    if world.layers is not None:
        basket = world.layers.config.basket
        extent = {"U": n_u, "J": n_j, "I": n_i, "K": basket.factors if basket else 0}
        for name, letters in ARRAYS.items():
            values[f"layer_{name}"] = (
                getattr(world.layers, name),
                tuple(extent[letter] for letter in letters),
            )
    for name, (value, shape) in values.items():
        if value is not None and (value.shape != shape or not np.isfinite(value).all()):
            raise ValueError(
                f"{file}: {name} must hold finite values of shape {shape}. Save the world again"
            )
