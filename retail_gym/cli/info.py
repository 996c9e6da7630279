"""``retail-gym info``: what there is."""

from __future__ import annotations

import json
from typing import Annotated, Any

import numpy as np
import typer

from retail_gym.cli.output import AsJson

__all__ = ["info"]


def info(
    preset: Annotated[
        str | None, typer.Argument(help="Preset, .toml or .npz file to describe.")
    ] = None,
    world_seed: Annotated[int, typer.Option(min=0, help="Store.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List what there is, or describe one store."""
    from retail_gym import __version__
    from retail_gym.envs.rewards import REWARDS
    from retail_gym.kernels import KERNELS
    from retail_gym.policies import ZOO
    from retail_gym.registration import IDS
    from retail_gym.world import make_world, preset_names

    facts: dict[str, Any]
    if preset is None:
        facts = {
            "version": __version__,
            "ids": list(IDS),
            "presets": preset_names(),
            "policies": [*ZOO, "DEPTH,FREQUENCY"],
            "rewards": list(REWARDS),
            "kernels": list(KERNELS),
        }
    else:
        world = make_world(preset, world_seed)
        facts = {
            "store": world.name,
            "seed": world.seed,
            "customers": world.n_customers,
            "products": world.n_products,
            "categories": world.n_categories,
            "median base price [$]": float(np.median(world.base_price)),
            "gamma_store_0": world.gamma_store_0,
            "gamma_store_1": world.gamma_store_1,
            "gamma_store_2": world.gamma_store_2,
            "alpha_1 [$]": world.alpha_1,
            "cap percentile": world.cap_reference.percentile,
            "marketing": world.marketing,
            "promotion": repr(world.promotion),
            "reward scale R0 [$ a week]": world.reward_scale,
        }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for key, value in facts.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        typer.echo(f"{key:28s} {shown:.6g}" if isinstance(value, float) else f"{key:28s} {shown}")
