"""References that bound a task's score, and the normalised score made of them.

For a task: random, no discount, policies I-V, the best static policy, the best of each segment,
the best schedule, and two policies that know the store's model, one myopic and one far-sighted.
Everything is searched and chosen on seeds from 10**6 up and scored on the test seeds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retail_gym.config import atomic_write, check_choice, check_finite, check_int, stable_hash
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.evaluation.climb import best_schedule, climb
from retail_gym.evaluation.model_policies import FarSighted, Myopic, StoreModel
from retail_gym.evaluation.planning import Plan
from retail_gym.evaluation.response import Response, measure_response
from retail_gym.evaluation.rollout import evaluate, make_env
from retail_gym.evaluation.search import best_static
from retail_gym.evaluation.statistics import bootstrap_mean
from retail_gym.policies import (
    SCENARIOS,
    HighLow,
    Policy,
    Schedule,
    Targeted,
    UniformRandom,
    no_discount,
    scenario,
)
from retail_gym.world.world import World

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "KNOW_THE_MODEL",
    "NAMES",
    "SCORES",
    "ReferenceTask",
    "References",
    "Seeds",
    "compute_references",
    "entry",
    "normalised_score",
    "reference_scores",
]

#: Where the shipped table lies; ``python -m experiments.references`` writes it.
SCORES: Final = resources.files(__package__).joinpath("reference_scores.json")
#: References that use what no retailer knows.
KNOW_THE_MODEL: Final = ("myopic", "far_sighted")
#: All references; ``static_by_segment`` where there are several segments.
NAMES: Final = (
    "random", "none", *SCENARIOS, "static", "static_by_segment", "schedule", *KNOW_THE_MODEL,
)  # fmt: skip


@dataclass(frozen=True)
class ReferenceTask:
    """A task whose score is to be bounded."""

    name: str
    env: str = "RetailSynth-v0"  # a registered id or a preset
    kwargs: dict[str, Any] = field(default_factory=dict)  # arguments of the environment
    weeks: int = 53

    def make(self) -> RetailPricingEnv:
        """Its environment."""
        return make_env(self.env, self.weeks, self.kwargs)


@dataclass(frozen=True)
class Seeds:
    """How many episodes each part of the work meets; the three sets do not overlap."""

    search: int = 16  # from 10**6: searches of static policies and schedules
    choice: int = 32  # from 1_001_000: which reference is the best
    test: int = 100  # from 0: the scores

    def __post_init__(self) -> None:
        for name in ("search", "choice", "test"):
            check_int(name, getattr(self, name), 1, 1000)

    @property
    def ranges(self) -> dict[str, range]:
        """The seeds by part."""
        starts = {"search": 1_000_000, "choice": 1_001_000, "test": 0}
        return {name: range(s, s + getattr(self, name)) for name, s in starts.items()}


@dataclass(frozen=True)
class References:
    """References of one task: what they do and how they score."""

    policies: dict[str, str]  # name -> what it does
    runs: pl.DataFrame  # part (choice or test), policy, seed, the figures, return
    model_static: float  # return that the model expects of its best static policy
    model_plan: float  # and of its best plan

    @property
    def best(self) -> str:
        """The policy with the best mean return on the choice seeds."""
        means = self.means("choice")
        return max(means, key=means.__getitem__)

    def means(self, part: str = "test") -> dict[str, float]:
        """Mean return of every policy."""
        rows = self.runs.filter(self.runs["part"] == part)
        table = rows.drop("part").group_by("policy", maintain_order=True).mean()
        return dict(zip(table["policy"].to_list(), table["return"].to_list(), strict=True))


def compute_references(
    task: ReferenceTask,
    folder: Path,
    *,
    seeds: Seeds | None = None,
    only: Collection[str] = NAMES,
    workers: int | None = 1,
    progress: bool = False,
) -> References:
    """Find, choose and score the references of a task.

    Args:
        task: the task.
        folder: where finished parts are kept; an interrupted run goes on where it stopped.
        seeds: numbers of episodes.
        only: which references to score, of :data:`NAMES`.
        workers: processes; None for one per CPU.
        progress: show progress bars.

    Returns:
        The references; the same whether or not the run was interrupted.

    Raises:
        ValueError: for a store or reward that the model does not describe, or an unknown name.
    """
    import polars as pl

    for name in only:
        check_choice("reference", name, NAMES)
    luck = (seeds or Seeds()).ranges
    env = task.make()
    store = _fingerprint(env.world)
    mark = stable_hash([store, repr(env.reward), len(env.segments), env.burn_in, asdict(task)])
    home = folder / f"{task.name}-{mark}-{len(luck['search'])}"
    model = StoreModel(env, _kept_response(env.world, folder / f"response-{store}.npz"))
    run = {"weeks": task.weeks, "workers": workers, "progress": progress, **task.kwargs}

    policies: dict[str, Policy] = {"random": UniformRandom(len(env.segments))}
    policies |= {"none": no_discount(), **{name: scenario(name) for name in SCENARIOS}}
    plans = [
        Plan(np.array(plan["actions"]), plan["value"])
        for plan in _kept(home / "plans.json", lambda: _written(model.best_plans()))
    ]
    found = _kept(
        home / "searched.json", lambda: _searched(task, env, model, plans, luck["search"], run)
    )
    policies["static"] = HighLow(*found["static"])
    if len(env.segments) > 1:
        policies["static_by_segment"] = Targeted(found["by_segment"])
    policies["schedule"] = Schedule(found["schedule"])
    policies |= {"myopic": Myopic(model), "far_sighted": FarSighted(model, plans)}
    policies = {name: policy for name, policy in policies.items() if name in only}

    frames = []
    for part in ("choice", "test"):
        for name, policy in policies.items():
            path = home / f"{part}-{len(luck[part])}-{name}.parquet"
            if not path.exists():
                frame = evaluate(task.env, {name: policy}, seeds=luck[part], **run)
                with atomic_write(path) as stream:
                    frame.write_parquet(stream)
            frames.append(pl.read_parquet(path).select(pl.lit(part).alias("part"), pl.all()))
    runs = pl.concat(frames)
    static = [
        max(chain.value([k] * model.weeks, start) for k in range(len(model.response.actions)))
        for chain, start in zip(model.chains, model.starts(), strict=True)
    ]
    return References(
        {name: repr(policy) for name, policy in policies.items()},
        runs,
        model_static=float(sum(static)),
        model_plan=float(sum(plan.value for plan in plans)),
    )


def _written(plans: list[Plan]) -> list[dict[str, Any]]:
    return [{"actions": plan.actions_t.tolist(), "value": plan.value} for plan in plans]


def _searched(
    task: ReferenceTask,
    env: RetailPricingEnv,
    model: StoreModel,
    plans: list[Plan],
    seeds: range,
    run: dict[str, Any],
) -> dict[str, Any]:
    """The policies found by simulation, in numbers."""
    coarse = best_static(task.env, seeds=seeds[:4], **run).policy
    everybody = climb(task.env, [(coarse.depth, coarse.frequency)], seeds=seeds, **run).pairs
    pairs = everybody * len(env.segments)
    if len(pairs) > 1:
        # Also from the model's guess, which is closer to the top.
        guess = [(segment.depth, segment.frequency) for segment in model.best_static().segments]
        climbs = [climb(task.env, start, seeds=seeds, **run) for start in (pairs, guess)]
        pairs = max(climbs, key=lambda found: found.score).pairs
    start = Schedule([[number for pair in pairs for number in pair]] * task.weeks)
    proposal = model.schedule(plans)
    schedule = best_schedule(task.env, start, [proposal], seeds=seeds, **run).policy
    return {
        "static": everybody[0],
        "by_segment": pairs,
        "schedule": np.round(schedule.actions.astype(np.float64), 6).tolist(),
    }


def _fingerprint(world: World) -> str:
    """16 digits that depend on the numbers of a store, and on neither its name nor its seed.

    Of coefficients per customer and product, those of the first hundred customers.
    """
    digest = hashlib.sha256()
    apart = ("name", "seed", "stored_reward_scale")
    own = [getattr(world, item.name) for item in fields(world) if item.name not in apart]
    pairs = vars(world.coefficients.rows(np.arange(min(world.n_customers, 100)))).values()
    for value in (*own, *pairs, *vars(world.cap_reference).values(), world.reward_scale):
        if isinstance(value, np.ndarray):
            digest.update(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, str | float | int):
            digest.update(repr(value).encode())
    return digest.hexdigest()[:16]


def _kept_response(world: World, path: Path) -> Response:
    """The store's response, from a file where there is one."""
    if not path.exists():
        response = measure_response(world)
        with atomic_write(path) as stream:
            np.savez(stream, **asdict(response))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    base, memory, marketing = arrays.pop("gamma_store").tolist()
    scale = float(arrays.pop("reward_scale"))
    return Response(**arrays, gamma_store=(base, memory, marketing), reward_scale=scale)


def _kept(path: Path, make: Callable[[], Any]) -> Any:
    """A part of the work, from the file of an earlier run where there is one."""
    if not path.exists():
        with atomic_write(path) as stream:
            stream.write(json.dumps(make()).encode())
    return json.loads(path.read_text(encoding="utf-8"))


def entry(task: ReferenceTask, references: References, seeds: Seeds) -> dict[str, Any]:
    """A task's row of the shipped table."""
    from retail_gym import __version__

    test, choice = references.means("test"), references.means("choice")
    policies = {}
    for name, what in references.policies.items():
        mine = (references.runs["part"] == "test") & (references.runs["policy"] == name)
        returns = references.runs.filter(mine)["return"].to_numpy()
        interval = bootstrap_mean(returns)
        policies[name] = {
            "return": test[name],
            "low": interval.low,
            "high": interval.high,
            "choice": choice[name],
            "seed_0": float(returns[0]),
            "knows_the_model": name in KNOW_THE_MODEL,
            "what": what,
        }
    return {
        "env": task.env,
        "kwargs": task.kwargs,
        "weeks": task.weeks,
        "store": _fingerprint(task.make().world),
        "version": __version__,
        "seeds": {name: [r.start, r.stop] for name, r in seeds.ranges.items()},
        "best": references.best,
        "model": {"static": references.model_static, "plan": references.model_plan},
        "policies": policies,
    }


@cache
def reference_scores() -> dict[str, Any]:
    """The shipped table: task -> best, policies -> return with its 95 % interval, seeds, store."""
    table: dict[str, Any] = json.loads(SCORES.read_text(encoding="utf-8"))
    return table


def normalised_score(value: float, task: str) -> float:
    """A mean return as a share of what can be reached.

    Args:
        value: mean undiscounted return over the test seeds 0..99 (the task's weeks).
        task: name of a task in the table, e.g. ``"RetailSynth-v0"``.

    Returns:
        0 for discounts drawn uniformly at random every week, 1 for the best known policy, chosen
        on seeds from 10**6 up; both scored on the test seeds. May lie below 0 or above 1.

    Raises:
        ValueError: for a task without references, naming those with, or a value not finite.
    """
    check_choice("task", task, reference_scores())
    row = reference_scores()[task]
    zero = float(row["policies"]["random"]["return"])
    one = float(row["policies"][row["best"]]["return"])
    return (check_finite("value", value) - zero) / (one - zero)
