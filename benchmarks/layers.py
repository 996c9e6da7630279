"""What the layers of households and baskets cost: whole weeks of one store with and without them.

The Complete Journey store (preset ``complete_journey``) under its own promotions, and for the same
customers and products the paper's model twice: the same store with its layers off (no cap: every
product of a visitor is looked at), and the priors of the preset ``scenario`` (a cap, which the fast path of
the paper's model needs). ``env.step`` from the second year on (the first packs the shelf of each
season), one thread unless ``--threads`` says more.

    python -m benchmarks.layers                     # 100, 741 and 2,469 customers
    python -m benchmarks.layers --customers 20000 --weeks 5
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from retail_gym.envs import RetailPricingEnv
from retail_gym.kernels.numba_cpu import NumbaKernel
from retail_gym.policies import SCENARIOS
from retail_gym.world import StoreConfig
from retail_gym.world.layers import Layers
from retail_gym.world.presets import load_config
from retail_gym.world.presets.complete_journey import config

YEAR = 53  # weeks before the first that is measured


def stores(customers: int) -> dict[str, tuple[StoreConfig, str]]:
    """The stores and what promotes them: their own plan, or a policy of the paper."""
    layered = config().override(n_customers=customers)
    assert layered.layers is not None
    off = layered.override(layers=Layers(catalog=layered.layers.catalog))
    sizes = layered.category_sizes
    paper = load_config("scenario").override(n_customers=customers, category_sizes=sizes)
    return {
        "all layers": (layered, "own"),
        "the same store, layers off": (off, "own"),
        "all layers, policy III": (layered, "III"),
        "`scenario`, policy III": (paper, "III"),
    }


def measure(store: StoreConfig, plan: str, weeks: int, threads: int) -> list[float]:
    """Milliseconds a week at best and in the median, trips and lines a week."""
    env = RetailPricingEnv(store, kernel=NumbaKernel(threads=threads), horizon=10**6)
    env.reset(seed=1)
    action = env.world.promotion if plan == "own" else np.array(SCENARIOS[plan], np.float32)
    seconds, trips, lines = [], 0, 0
    # Of one thread its own time: what else runs on the machine does not count.
    clock = time.thread_time if threads == 1 else time.perf_counter
    for week in range(YEAR + weeks):
        start = clock()
        env.step(action)
        if week >= YEAR and env.outcome:
            seconds.append(clock() - start)
            trips += int(env.outcome.visited.sum())
            lines += env.outcome.lines.product.size
    least, middle = 1e3 * min(seconds), 1e3 * float(np.median(seconds))
    return [least, middle, trips / weeks, lines / weeks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, nargs="*", default=[100, 741, 2_469])
    parser.add_argument("--weeks", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print("| customers | store | ms a week | median | trips | lines | us a trip | us a line |")
    print("|---|---|---|---|---|---|---|---|")
    for customers in options.customers:
        for name, (store, plan) in stores(customers).items():
            least, middle, trips, lines = measure(store, plan, options.weeks, options.threads)
            print(
                f"| {customers:,} | {name} | {least:.2f} | {middle:.2f} | {trips:,.0f} "
                f"| {lines:,.0f} | {1e3 * least / trips:.1f} | {1e3 * least / lines:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
