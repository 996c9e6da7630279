"""What upstream's random keys and percentile clip do to the store: measured, one at a time.

``python -m experiments.upstream_draws`` runs policies I, III and V in the scenario store three
times: as this project does, with one uniform deciding a customer's visit and every product
choice of the week (upstream feeds all stages from one key), and with the utility cap taken at
the percentile pooled over this week's customers and noise. It also asks what a customer's
demand owes to how many others there are.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from retail_gym import RetailPricingEnv, make_world, rng
from retail_gym.config import atomic_write
from retail_gym.evaluation import RunMetrics
from retail_gym.evaluation.rollout import play
from retail_gym.kernels import Kernel, Memory, Offer, Purchases
from retail_gym.kernels.reference import ReferenceKernel
from retail_gym.policies import scenario
from retail_gym.rng import Stage
from retail_gym.world import World
from retail_gym.world.noise import customer_words, noise_words, utility


class OneDraw(ReferenceKernel):
    """The visit draw of a customer is also the draw of every product choice."""

    name = "one draw"

    def _uniform(
        self, world: World, episode_key: int, week: int, u: int, stage: Stage
    ) -> NDArray[np.float64]:
        if stage != Stage.PRODUCT:
            return super()._uniform(world, episode_key, week, u, stage)
        visit = rng.uniform(customer_words(episode_key, week, Stage.VISIT, u))
        return np.full(world.n_categories, visit)


class PooledCap(ReferenceKernel):
    """The cap is the percentile of this week's utilities, pooled over all customers."""

    name = "pooled cap"

    def week(
        self, world: World, memory: Memory, offer: Offer, episode_key: int, week: int
    ) -> tuple[Memory, Purchases]:
        pooled = np.concatenate(
            [
                utility(
                    world,
                    np.array([u]),
                    noise_words(world, episode_key, week, [u]),
                    offer.log_price_gi[offer.group_u[u]],
                )[0]
                for u in range(world.n_customers)
            ]
        )
        cap = np.percentile(pooled, world.cap_reference.percentile)
        caps = np.full_like(offer.cap_g, cap)
        offer = Offer(offer.group_u, offer.log_price_gi, caps, offer.marketing_u)
        return super().week(world, memory, offer, episode_key, week)


def run(world: World, kernel: Kernel, policy: str, seed: int) -> dict[str, float]:
    """Figures of one run, and how the sales spread over products."""
    env = RetailPricingEnv(world, kernel=kernel)
    metrics, products = RunMetrics(world.n_customers), []
    for outcome, _ in play(env, scenario(policy), seed):
        metrics.add(outcome)
        products.append(outcome.lines.product)
    sold = np.bincount(np.concatenate(products), minlength=world.n_products)
    return metrics.total() | {"products_sold": float((sold > 0).sum())}


def first_ten(world: World, kernel: Kernel) -> set[tuple[int, ...]]:
    """What customers 0-9 buy in 20 weeks of policy III: week, customer, product, quantity."""
    env = RetailPricingEnv(world, kernel=kernel, horizon=20)
    return {
        (outcome.week, *line)
        for outcome, _ in play(env, scenario("III"), 0)
        for line in zip(
            outcome.lines.customer.tolist(),
            outcome.lines.product.tolist(),
            outcome.lines.quantity.tolist(),
            strict=True,
        )
        if line[0] < 10
    }


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/upstream_draws"))
    args = parser.parse_args()
    kernels: list[Kernel] = [ReferenceKernel(), OneDraw(), PooledCap()]
    names = ("units", "revenue", "categories_per_visiting_customer_week", "visit_rate",
             "retention_3w", "products_sold")  # fmt: skip
    summary: dict[str, object] = {}
    jobs = [(p, k) for p in ("I", "III", "V") for k in kernels]
    for policy, kernel in tqdm(jobs, desc="policy x kernel"):
        rows = [
            run(make_world("scenario", 10 + w), kernel, policy, seed)
            for w in range(args.worlds)
            for seed in range(args.seeds)
        ]
        means = {name: float(np.mean([row[name] for row in rows])) for name in names}
        summary[f"{policy}, {kernel.name}"] = means
        tqdm.write(f"{policy:4s} {kernel.name:12s} {means}")
    for kernel in (ReferenceKernel(), PooledCap()):
        lines = [first_ten(make_world("scenario", 10, n_customers=n), kernel) for n in (10, 100)]
        label = f"lines of customers 0-9 that change when 90 others join, {kernel.name}"
        summary[label] = f"{len(lines[0] ^ lines[1])} of {len(lines[0])}"
        tqdm.write(f"{label}: {summary[label]}")
    with atomic_write(args.out / "upstream_draws.json") as stream:
        stream.write(json.dumps(summary, indent=2).encode())


if __name__ == "__main__":
    main()
