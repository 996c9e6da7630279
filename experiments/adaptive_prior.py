"""How much do stores have to differ before learning one pays?

``python -m experiments.adaptive_prior`` draws stores under narrower and wider laws and prints, for
each, how much more the best static policy of every store in hindsight earns than the best single
one (coarse grid of static policies, margin reward). Both are chosen on luck seed 1,000,000 and
scored on others, from 0 up: scored where it was chosen, hindsight would be rewarded for luck. It
is why the pool of ``RetailSynthAdaptive-v0`` draws loyalty too, and not the price level alone.
"""

from __future__ import annotations

import argparse
from typing import Final

import numpy as np
from tqdm import tqdm

from experiments.ship_adaptive_pool import COARSE, FIRST_SEED, Floats, static_return
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


def gap(ranges: dict[str, PriorRange], stores: int, scoring: int) -> float:
    """Hindsight over the best single static policy, as a share of its return, on unseen luck."""
    config = PoolConfig("prior", ADAPTIVE.preset, ranges)
    seeds = range(ADAPTIVE.first_seed, ADAPTIVE.first_seed + stores)
    envs = [RetailAdaptiveEnv(StorePool(config, [seed], cache="")) for seed in seeds]
    chosen = np.array(
        [[static_return(env, p, FIRST_SEED) for p in COARSE] for env in tqdm(envs, leave=False)]
    )
    single = COARSE[chosen.mean(axis=0).argmax()]

    def score(env: RetailAdaptiveEnv, point: Floats) -> float:
        return float(np.mean([static_return(env, point, luck) for luck in range(scoring)]))

    hindsight = sum(score(env, COARSE[k]) for env, k in zip(envs, chosen.argmax(1), strict=True))
    return hindsight / sum(score(env, single) for env in envs) - 1.0


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stores", type=int, default=16)
    parser.add_argument("--scoring", type=int, default=8, help="luck seeds to score on")
    args = parser.parse_args()
    stores = check_int("--stores", args.stores, 1)
    scoring = check_int("--scoring", args.scoring, 1)
    for name, ranges in LAWS.items():
        print(f"{name:32s} {gap(ranges, stores, scoring):6.1%}", flush=True)


if __name__ == "__main__":
    main()
