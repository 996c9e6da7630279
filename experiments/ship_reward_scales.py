"""Compute the reward scales that are shipped with the presets.

``python -m experiments.ship_reward_scales`` writes ``retail_gym/world/presets/reward_scale.json``:
R0 of every preset for world seeds 0-19, beside the hash of the configuration it holds for. Run it
after a change of a preset, a prior or the noise; a test tells when it is due.
"""

from __future__ import annotations

import json
from pathlib import Path

from tqdm import tqdm

from retail_gym import preset_names
from retail_gym.config import atomic_write, stable_hash
from retail_gym.world.presets import SCALES, load_config
from retail_gym.world.reference import reward_scale
from retail_gym.world.world import build_world

SEEDS = range(20)


def main() -> None:
    """Run the study from the command line."""
    table = {}
    for name in tqdm(preset_names(), desc="preset"):
        config = load_config(name)
        scales = [reward_scale(build_world(config, seed)) for seed in SEEDS]
        table[stable_hash(config)] = {"preset": name, "scales": scales}
    with atomic_write(Path(str(SCALES))) as stream:
        stream.write(json.dumps(table, indent=1).encode())
    print("written:", SCALES)


if __name__ == "__main__":
    main()
