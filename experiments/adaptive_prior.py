"""How much do stores have to differ before learning one pays?

``python -m experiments.adaptive_prior`` draws stores under narrower and wider laws and prints, for
each, how much more the best static policy of every store in hindsight earns than the best single
one (coarse grid of static policies, one seed, margin reward). It is why the pool of
``RetailSynthAdaptive-v0`` draws loyalty too, and not the price level alone.
"""

from __future__ import annotations

import argparse
from typing import Final

import numpy as np
from tqdm import tqdm

from experiments.ship_adaptive_pool import COARSE, FIRST_SEED, static_return
from retail_gym.config import check_int
from retail_gym.envs.adaptive import RetailAdaptiveEnv
from retail_gym.world.pool import ADAPTIVE, PoolConfig, PriorRange, StorePool
from retail_gym.world.priors import Uniform

_PRICE: Final = {"alpha_1": ADAPTIVE.ranges["alpha_1"]}
LAWS: Final[dict[str, dict[str, PriorRange]]] = {
    "alpha_1": _PRICE,
    "alpha_1, c in [-2.3, -0.5]": _PRICE | {"c": PriorRange(Uniform(-2.3, -0.5))},
    "alpha_1, gamma_store_2": _PRICE | {"gamma_store_2": ADAPTIVE.ranges["gamma_store_2"]},
    "as shipped, with gamma_store_0": dict(ADAPTIVE.ranges),
}


def gap(ranges: dict[str, PriorRange], stores: int) -> float:
    """Hindsight over the best single static policy, as a share of its return."""
    returns = []
    for seed in tqdm(range(ADAPTIVE.first_seed, ADAPTIVE.first_seed + stores), leave=False):
        config = PoolConfig("prior", ADAPTIVE.preset, ranges)
        env = RetailAdaptiveEnv(StorePool(config, [seed], cache=""))
        returns.append([static_return(env, point, FIRST_SEED) for point in COARSE])
    table = np.array(returns)
    return float(table.max(axis=1).mean() / table.mean(axis=0).max() - 1.0)


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stores", type=int, default=16)
    args = parser.parse_args()
    stores = check_int("--stores", args.stores, 1)
    for name, ranges in LAWS.items():
        print(f"{name:32s} {gap(ranges, stores):6.1%}", flush=True)


if __name__ == "__main__":
    main()
