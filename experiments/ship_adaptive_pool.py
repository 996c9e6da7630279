"""Choose the stores of ``RetailSynthAdaptive-v0``, or check the list that is shipped.

``python -m experiments.ship_adaptive_pool`` goes through world seeds from the pool's first on,
finds each candidate's best static policy in the task itself (burn-in and margin reward; the fine
grid, coarse to fine, common random numbers), skips stores below the floor and writes the first 64
and the next 32 to ``retail_gym/world/presets/adaptive_pool.json``. Every store's surface of
returns is kept in ``--out``, so an interrupted run goes on. ``--check N`` computes the first N
candidates anew and compares. Run it after a change of the preset, the pool or the noise; a test
tells when it is due.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from retail_gym.config import atomic_write
from retail_gym.envs.adaptive import RetailAdaptiveEnv
from retail_gym.evaluation.rollout import play
from retail_gym.evaluation.search import DEPTHS, FINE_GRID, FREQUENCIES
from retail_gym.policies import HighLow
from retail_gym.world.pool import ADAPTIVE, SHIPPED, SPLITS, PoolConfig, StorePool
from retail_gym.world.storage import read_arrays

Floats = NDArray[np.float64]

POINTS: Final = np.array(FINE_GRID)
#: The default grid of searches, up to the depth that sells below cost (0.30) and one more.
COARSE: Final = np.array(
    [(0.0, 0.0), *((d, f) for d, f in product(DEPTHS, FREQUENCIES) if 0.0 < d <= 0.35)]
)
#: Selection: seeds from 10**6 on. The neighbours of the best coarse point meet a second seed,
#: the best few of them six more.
FIRST_SEED: Final = 10**6
REACH: Final = (0.05, 0.10)
FINALISTS: Final = 5
FINAL_SEEDS: Final = 6


class Surface(NamedTuple):
    """Returns of one store's static policies, by :data:`POINTS`."""

    world_seed: int
    mean: Floats  # (P,) return [R0 per episode], NaN where there are no episodes
    runs: NDArray[np.int64]  # (P,) episodes behind it

    @property
    def best(self) -> int:
        """The finalist with the best mean."""
        return int(np.where(self.runs == self.runs.max(), self.mean, -np.inf).argmax())


def static_return(env: RetailAdaptiveEnv, point: Floats, seed: int) -> float:
    """Return of one episode of a static policy."""
    return sum(reward for _, reward in play(env, HighLow(*point.tolist()), seed))


def neighbours(point: Floats) -> NDArray[np.int64]:
    """Numbers of the grid's points around one, and that of no discount."""
    near = (np.abs(POINTS - point) <= np.array(REACH) + 1e-9).all(axis=1)
    return np.flatnonzero(near | (POINTS == 0.0).all(axis=1))


def measure(config: PoolConfig, seed: int) -> Surface:
    """The surface of the store of one world seed, from coarse to fine."""
    env = RetailAdaptiveEnv(StorePool(config, [seed], cache=""))
    total, runs = np.zeros(len(POINTS)), np.zeros(len(POINTS), dtype=np.int64)

    def until(chosen: Iterable[int], count: int) -> None:
        for k in chosen:
            while runs[k] < count:
                total[k] += static_return(env, POINTS[k], FIRST_SEED + int(runs[k]))
                runs[k] += 1

    coarse = [int(np.flatnonzero((point == POINTS).all(axis=1))[0]) for point in COARSE]
    until(coarse, 1)
    near = neighbours(POINTS[max(coarse, key=lambda k: total[k])])
    until(near, 2)
    until(near[np.argsort(-total[near], kind="stable")[:FINALISTS]], 2 + FINAL_SEEDS)
    mean = np.divide(total, runs, out=np.full(len(POINTS), np.nan), where=runs > 0)
    return Surface(seed, mean, runs)


def kept_surface(config: PoolConfig, seed: int, folder: Path) -> Surface:
    """The surface from the folder, or measured and put there."""
    path = folder / f"{config.name}-{config.digest()}" / f"{seed}.npz"
    if not path.exists():
        found = measure(config, seed)
        with atomic_write(path) as stream:
            np.savez(stream, mean=found.mean, runs=found.runs)
    arrays = read_arrays(path)
    return Surface(seed, arrays["mean"], arrays["runs"])


def record(config: PoolConfig, surface: Surface) -> dict[str, Any]:
    """What is shipped about a store."""
    best, seed = surface.best, surface.world_seed
    world = StorePool(config, [seed], cache="").world(0)
    return {
        "world_seed": seed,
        "reward_scale": world.reward_scale,
        "depth": float(POINTS[best, 0]),
        "frequency": float(POINTS[best, 1]),
        "best_return": round(float(surface.mean[best]), 6),
        "values": config.values(seed),
        "price_sum": float(world.base_price.sum()),
    }


def best_single(config: PoolConfig, surfaces: Sequence[Surface], path: Path) -> dict[str, float]:
    """The static policy with the best mean over stores: coarse, then its neighbours, two seeds."""
    coarse = np.flatnonzero((POINTS[:, None] == COARSE).all(axis=2).any(axis=1))
    means = np.mean([surface.mean[coarse] for surface in surfaces], axis=0)
    near = neighbours(POINTS[coarse[means.argmax()]])
    if not path.exists():
        total = np.zeros(near.size)
        for surface in tqdm(surfaces, desc="best single"):
            env = RetailAdaptiveEnv(StorePool(config, [surface.world_seed], cache=""))
            for seed in (FIRST_SEED, FIRST_SEED + 1):
                total += [static_return(env, POINTS[k], seed) for k in near]
        with atomic_write(path) as stream:
            np.savez(stream, near=near, mean=total / (2 * len(surfaces)))
    kept = read_arrays(path)
    best = int(kept["mean"].argmax())
    depth, frequency = POINTS[kept["near"][best]].tolist()
    return {
        "depth": depth,
        "frequency": frequency,
        "return": round(float(kept["mean"][best]), 6),
        "hindsight": round(float(np.mean([s.mean[s.best] for s in surfaces])), 6),
    }


def candidates(config: PoolConfig, folder: Path) -> Iterator[Surface]:
    """Surfaces of the candidates, in the order of their seeds."""
    seed = config.first_seed
    while True:
        yield kept_surface(config, seed, folder)
        seed += 1


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/adaptive/surfaces"))
    parser.add_argument("--check", type=int, metavar="N", help="compare N candidates anew")
    args = parser.parse_args()
    if args.check is not None:
        check(args.check)
        return
    wanted = sum(SPLITS.values())
    accepted, redrawn, surfaces = [], [], []
    with tqdm(total=wanted, desc="store") as bar:
        for surface in candidates(ADAPTIVE, args.out):
            row = record(ADAPTIVE, surface)
            if row["best_return"] < ADAPTIVE.floor:
                redrawn.append(row)
                continue
            accepted.append(row)
            surfaces.append(surface)
            bar.update()
            if len(accepted) == wanted:
                break
    table: dict[str, Any] = {"config": ADAPTIVE.digest(), "floor": ADAPTIVE.floor}
    for split, size in SPLITS.items():
        table[split], accepted = accepted[:size], accepted[size:]
    table["redrawn"] = redrawn
    training = surfaces[: SPLITS["train"]]
    single = args.out / f"{ADAPTIVE.name}-{ADAPTIVE.digest()}" / "best_single.npz"
    table["best_single"] = best_single(ADAPTIVE, training, single)
    with atomic_write(Path(str(SHIPPED))) as stream:
        stream.write(json.dumps(table, indent=1).encode())
    print("written:", SHIPPED)


def check(count: int) -> None:
    """Measure the first candidates again; exit 1 where the shipped list says otherwise."""
    table = json.loads(SHIPPED.read_text(encoding="utf-8"))
    shipped = {r["world_seed"]: r for part in (*SPLITS, "redrawn") for r in table[part]}
    for seed in tqdm(sorted(shipped)[:count], desc="store"):
        row = record(ADAPTIVE, measure(ADAPTIVE, seed))
        if row != shipped[seed]:
            raise SystemExit(f"store {seed} is not as shipped: {row} instead of {shipped[seed]}")
    print(f"{count} stores are as shipped")


if __name__ == "__main__":
    main()
