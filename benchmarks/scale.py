"""Cost per customer-week of populations of every size: stored coefficients and drawn ones.

Each size runs in a process of its own, so that its peak of memory is its own. ``env.step`` under
policy III, weeks 3 onwards (week 1 everybody visits), one thread unless ``--threads`` says more.

    python -m benchmarks.scale                 # 100 to 10,000 stored, 1,000 to 1,000,000 drawn
    python -m benchmarks.scale --threads 2 --drawn 100000
    python -m benchmarks.scale --preset complete_journey --stored 100 741 2469
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

from retail_gym.envs import RetailPricingEnv
from retail_gym.kernels.numba_cpu import NumbaKernel
from retail_gym.policies import SCENARIOS

STORED, DRAWN = (100, 1_000, 10_000), (1_000, 10_000, 100_000, 1_000_000)
CUSTOMER_WEEKS = 60_000  # of each measurement, at least 3 weeks


def measure(preset: str, mode: str, n: int, threads: int) -> dict[str, float | int | str]:
    start = time.perf_counter()
    room = 0.0 if mode == "drawn" else 1e3
    kernel = NumbaKernel(threads=threads)
    env = RetailPricingEnv(preset, n_customers=n, memory_gib=room, kernel=kernel, horizon=10**6)
    env.reset(seed=1)
    build = time.perf_counter() - start
    action = np.array(SCENARIOS["III"], dtype=np.float32)
    seconds, lines = [], 0
    for week in range(1, max(3, CUSTOMER_WEEKS // n) + 3):
        start = time.perf_counter()
        env.step(action)
        if week > 2:
            seconds.append(time.perf_counter() - start)
            lines += env.outcome.categories if env.outcome else 0
    return {
        "preset": preset,
        "mode": mode,
        "customers": n,
        "threads": threads,
        "build_s": build,
        "week_ms": float(np.mean(seconds) * 1e3),
        "us_per_customer_week": float(np.mean(seconds) / n * 1e6),
        "customer_weeks_per_s": n / float(np.mean(seconds)),
        "lines_per_s": lines / float(np.sum(seconds)),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="scenario")
    parser.add_argument("--stored", type=int, nargs="*", default=None)
    parser.add_argument("--drawn", type=int, nargs="*", default=None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", nargs=2, metavar=("MODE", "CUSTOMERS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(
            json.dumps(
                measure(options.preset, options.one[0], int(options.one[1]), options.threads)
            )
        )
        return
    default = options.stored is None and options.drawn is None
    sizes = {
        "stored": STORED if default else options.stored or (),
        "drawn": DRAWN if default else options.drawn or (),
    }
    print(f"{'mode':7}{'customers':>10}{'week [ms]':>11}{'us/customer-week':>18}{'MB':>8}")
    for mode, customers in sizes.items():
        for n in customers:
            command = [sys.executable, "-m", "benchmarks.scale", "--one", mode, str(n)]
            command += ["--threads", str(options.threads), "--preset", options.preset]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            row = json.loads(done.stdout)
            print(
                f"{mode:7}{n:10,}{row['week_ms']:11.2f}{row['us_per_customer_week']:18.2f}"
                f"{row['peak_memory_mb']:8,}",
                flush=True,
            )


if __name__ == "__main__":
    main()
