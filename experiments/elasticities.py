"""Own-price elasticities of the calibrated store: Figure 7, and a check of the closed forms.

``python -m experiments.elasticities`` computes the elasticity of expected demand (Appendix C)
for sampled customers and products, compares the closed form with paired finite differences
(same noise at two prices), and writes ``figure_7.png`` and ``elasticities.json``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from retail_gym import Simulator, make_world
from retail_gym.config import atomic_write
from retail_gym.evaluation.elasticities import expected_demand
from retail_gym.plotting import plot_elasticities

STEP = 1e-5  # relative price change of the finite difference


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="calibrated")
    parser.add_argument("--world-seed", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0, help="luck")
    parser.add_argument("--products", type=int, default=200, help="sampled for the heat map")
    parser.add_argument("--out", type=Path, default=Path("results/elasticities"))
    args = parser.parse_args()

    world = make_world(args.preset, args.world_seed)
    simulator = Simulator(world, args.seed)
    simulator.step(world.base_price)  # one week, so that there is something to remember
    memory, price_i = simulator.memory, world.base_price
    cap = world.cap_reference.cap(np.log(price_i))
    demand = expected_demand(world, price_i, memory, seed=args.seed)

    generator = np.random.default_rng(args.seed)
    products = np.sort(generator.choice(world.n_products, args.products, replace=False))
    sample = demand.overall[:, products]
    order_u, order_i = sample.mean(axis=1).argsort(), sample.mean(axis=0).argsort()

    worst = 0.0
    for i in products[:20]:
        quantity = []
        for sign in (1.0, -1.0):
            changed = price_i.copy()
            changed[i] *= np.exp(sign * STEP)
            quantity.append(
                expected_demand(world, changed, memory, seed=args.seed, cap=cap).quantity[:, i]
            )
        difference = (np.log(quantity[0]) - np.log(quantity[1])) / (2 * STEP)
        worst = max(worst, float(np.abs(difference - demand.overall[:, i]).max()))

    mean = {
        name: float(getattr(demand, name).mean())
        for name in ("store", "category", "product", "units", "overall")
    }
    weighted = float((demand.overall * demand.quantity).sum() / demand.quantity.sum())
    summary = {
        "preset": args.preset,
        "world_seed": args.world_seed,
        "mean_elasticity_by_stage": mean,
        "mean_weighted_by_demand": weighted,
        "quantiles_overall": dict(
            zip(
                ("5%", "25%", "50%", "75%", "95%"),
                np.percentile(demand.overall, [5, 25, 50, 75, 95]).tolist(),
                strict=True,
            )
        ),
        "largest_gap_to_finite_differences": worst,
    }
    print(json.dumps(summary, indent=2))
    popular = int(np.median(demand.quantity, axis=0).argmax())
    picture = plot_elasticities(
        sample[order_u][:, order_i],
        demand.quantity[:, popular],
        demand.overall[:, popular],
        args.out / "figure_7.png",
    )
    with atomic_write(args.out / "elasticities.json") as stream:
        stream.write(json.dumps(summary, indent=2).encode())
    print("picture:", picture)


if __name__ == "__main__":
    main()
