"""Benchmarks: what a week costs, in time and in units of one ``np.exp`` over its utilities.

Machines differ; the ratio to exponentiating a float32 array of customers x products elements,
timed in the same process, travels better than milliseconds.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym import __version__
from retail_gym.config import check_int
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.kernels.packed import pack
from retail_gym.kernels.passes import category_sums
from retail_gym.model.price import price
from retail_gym.policies.high_low import SCENARIOS, scenario
from retail_gym.promotion import Promotion
from retail_gym.simulator import Simulator
from retail_gym.world.store_config import PromotionPlan
from retail_gym.world.world import World, make_world

__all__ = ["Timing", "run_benchmarks"]

_POLICIES: Final = ("I", "III", "V")


@dataclass(frozen=True)
class Timing:
    """Repeats of one measurement [ms]."""

    minimum: float
    median: float
    repeats: int

    def ratio(self, unit: Timing) -> dict[str, float]:
        """Minimum over minimum and median over median."""
        return {
            "minimum": self.minimum / unit.minimum,
            "median": self.median / unit.median,
        }


def _timing(ms: NDArray[np.float64]) -> Timing:
    return Timing(float(ms.min()), float(np.median(ms)), ms.size)


def _time(call: Callable[[], Any], repeats: int) -> Timing:
    call()
    times = np.empty(repeats)
    for k in range(repeats):
        start = time.perf_counter()
        call()
        times[k] = time.perf_counter() - start
    return _timing(times * 1e3)


def _exp(world: World, repeats: int) -> Timing:
    shape = (world.n_customers, world.n_products)
    values = np.random.default_rng(0).normal(-3.0, 2.0, shape).astype(np.float32)
    out = np.empty_like(values)
    return _time(lambda: np.exp(values, out=out), repeats)


def _full(world: World, repeats: int) -> Timing:
    """Noise, utilities, exponentials and category sums of everybody."""
    packed, everybody = pack(world), np.arange(world.n_customers)
    price_i = (world.beta_i * np.log(world.base_price)).astype(np.float32)
    noise = packed.noise_coefficients.astype(np.float32)
    out = np.empty((world.n_customers, world.n_categories), dtype=np.float32)
    stored = packed.single.heads.size == 0
    drawn = None if stored else np.empty((2, world.n_products), dtype=np.float32)
    week = iter(range(10**9))

    def call() -> None:
        coefficients = packed.feature_coefficients
        category_sums(
            packed.single,
            coefficients,
            noise,
            price_i,
            np.uint64(1),
            next(week),
            everybody,
            drawn,
            out,
        )

    return _time(call, repeats)


def _weeks(world: World, name: str, episodes: int) -> tuple[Timing, dict[str, float]]:
    """Simulated weeks on the default path, prices given; and the work they did."""
    plan = PromotionPlan.high_low(*SCENARIOS[name])
    times, lines, visits = [], 0, 0
    counts = np.zeros(5)
    for episode in range(episodes):
        simulator, promotion = Simulator(world, episode), Promotion(world.n_products, episode)
        for week in range(1, 54):
            discount = promotion.step([plan], week)
            price_si = price(world.base_price, discount, world.lowest_price)
            start = time.perf_counter()
            outcome = simulator.step(price_si)
            times.append(time.perf_counter() - start)
            lines += outcome.lines.category.size
            visits += int(outcome.visited.sum())
        counts += getattr(simulator.kernel, "counts", np.zeros(5))
    weeks = len(times)
    timing = Timing(float(min(times) * 1e3), float(np.median(times) * 1e3), weeks)
    return timing, {
        "visitors_per_week": visits / weeks,
        "lines_per_week": lines / weeks,
        "rows_recomputed_per_week": float(counts[0] / world.n_products / weeks),
        "categories_summed_per_week": float(counts[2] / weeks),
        "categories_in_float64_per_week": float(counts[3] / weeks),
    }


def _steps(world: World, name: str, episodes: int) -> Timing:
    """``env.step``, everything included."""
    env, policy, times = RetailPricingEnv(world), scenario(name), []
    for episode in range(episodes):
        observation, _ = env.reset(seed=episode)
        for week in range(1, env.horizon + 1):
            action = policy(observation, week)
            start = time.perf_counter()
            observation = env.step(action)[0]
            times.append(time.perf_counter() - start)
    return Timing(float(min(times) * 1e3), float(np.median(times) * 1e3), len(times))


def _vector(world: World, num_envs: int, threads: int, episodes: int) -> tuple[Timing, Timing]:
    """A step of the single environment and of a vector, an episode of each in turn.

    Of both weeks 2 to 53 count: in week 1 everybody visits. Resets do not. Step by step in turn
    would be unfair: the vector's arrays would drive the single environment's out of the caches.
    """
    from retail_gym.envs.vector import RetailPricingVectorEnv

    vector = RetailPricingVectorEnv(
        world, num_envs=num_envs, threads=threads, autoreset_mode="Disabled"
    )
    single, action = RetailPricingEnv(world), np.array(SCENARIOS["III"], dtype=np.float32)
    actions = np.tile(action, (num_envs, 1))
    one: list[float] = []
    many: list[float] = []
    for episode in range(episodes):
        vector.reset(seed=episode)
        single.reset(seed=episode)
        for times, env, acts in ((one, single, action), (many, vector, actions)):
            for _ in range(single.horizon):
                start = time.perf_counter()
                env.step(acts)
                times.append(time.perf_counter() - start)
    vector.close()
    weeks = np.arange(len(one)) % single.horizon > 0
    alone, together = np.array([one, many])[:, weeks] * 1e3
    return _timing(alone), _timing(together)


def _start_up() -> dict[str, float]:
    """Seconds of a fresh process: import, building the store, the first step."""
    program = (
        "import time; t = time.perf_counter()\n"
        "import retail_gym; a = time.perf_counter()\n"
        "world = retail_gym.make_world('scenario'); b = time.perf_counter()\n"
        "env = retail_gym.RetailPricingEnv(world); env.reset(seed=0)\n"
        "env.step([0.25, 0.6]); c = time.perf_counter()\n"
        "env.step([0.25, 0.6]); d = time.perf_counter()\n"
        "print(a - t, b - a, c - b, d - c)"
    )
    runs = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        runs.append([float(x) for x in done.stdout.split()])
    best = np.min(runs, axis=0)
    names = ("import", "build_world", "environment_and_first_step", "second_step")
    return dict(zip(names, best.tolist(), strict=True))


def run_benchmarks(
    preset: str = "scenario", episodes: int = 5, n_customers: int | None = None
) -> dict[str, Any]:
    """Measure everything and return it as plain values.

    Args:
        preset: the store.
        episodes: simulated years behind each weekly figure.
        n_customers: customers, by default the store's.

    Returns:
        Times [ms] with their ratios to ``np.exp``, rates per second, memory [MiB], start-up [s].
    """
    episodes = check_int("episodes", episodes, 1)
    world = make_world(preset, **({} if n_customers is None else {"n_customers": n_customers}))
    unit = _exp(world, 60)
    result: dict[str, Any] = {
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs",
        "versions": {"retail-gym": __version__}
        | {name: version(name) for name in ("numpy", "numba", "gymnasium")}
        | {"python": platform.python_version()},
        "store": repr(world),
        "np_exp_ms": asdict(unit),
    }

    def put(name: str, timing: Timing, **more: float) -> None:
        result[name] = {"ms": asdict(timing), "ratio_to_np_exp": timing.ratio(unit), **more}

    put("full_evaluation", _full(world, 60))
    for name in _POLICIES:
        timing, work = _weeks(world, name, episodes)
        rates = {
            "customer_weeks_per_s": world.n_customers / timing.median * 1e3,
            "lines_per_s": work["lines_per_week"] / timing.median * 1e3,
        }
        put(f"week_{name}", timing, **work, **rates)
    for name in _POLICIES:
        timing = _steps(world, name, episodes)
        put(f"env_step_{name}", timing, steps_per_s=1e3 / timing.median)
    for threads in (1, 2):
        single, vector = _vector(world, 8, threads, episodes)
        put(
            f"vector_8_envs_{threads}_threads",
            vector,
            env_steps_per_s=8e3 / vector.median,
            single_minimum_ms=single.minimum,
            single_median_ms=single.median,
            times_the_single_environment=8.0 * single.median / vector.median,
            times_the_single_environment_at_best=8.0 * single.minimum / vector.minimum,
        )
    again = _exp(world, 60)  # the machine may have changed pace meanwhile
    result["np_exp_again_ms"] = asdict(again)
    result["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result["start_up_s"] = _start_up()
    return result
