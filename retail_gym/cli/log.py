"""``retail-gym log``: decisions with propensities, for offline learning and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from retail_gym.cli.output import check_writable
from retail_gym.config import check_choice, check_int

if TYPE_CHECKING:
    from retail_gym.policies.behaviour import Behaviour

__all__ = ["log"]


def _base(env: Any, policy: str) -> Any:
    """The policy that a behaviour is built around, in the environment's own actions."""
    from retail_gym.data.logged import level_of
    from retail_gym.envs.coupon_views import FixedArm
    from retail_gym.policies import make_policy
    from retail_gym.policies.behaviour import OnGrid

    if level_of(env) == "customer":
        if not policy.isdigit():
            raise ValueError(f"--policy of a coupon task is the number of an arm, not {policy!r}")
        return FixedArm(int(policy))
    made = make_policy(policy)
    return OnGrid(made, env.grid) if hasattr(env, "grid") else made


def _uniform(env: Any, options: dict[str, Any]) -> Behaviour:
    from retail_gym.policies.behaviour import Uniform

    return Uniform(env.action_space)


def _gaussian(env: Any, options: dict[str, Any]) -> Behaviour:
    from retail_gym.policies.behaviour import Gaussian

    sd = [float(part) for part in options["sd"].split(",")]
    return Gaussian(_base(env, options["policy"]), env.action_space, sd, options["epsilon"])


def _epsilon_greedy(env: Any, options: dict[str, Any]) -> Behaviour:
    from retail_gym.policies.behaviour import EpsilonGreedy

    return EpsilonGreedy(_base(env, options["policy"]), env.action_space, options["epsilon"])


def _softmax(env: Any, options: dict[str, Any]) -> Behaviour:
    from retail_gym.policies.behaviour import OnGrid, Softmax

    base = _base(env, options["policy"])
    if not isinstance(base, OnGrid):
        raise ValueError("softmax needs a pricing task with --grid")
    return Softmax.around(base, env.action_space, options["temperature"])


#: Behaviours by name.
_BEHAVIOURS: Final[dict[str, Callable[[Any, dict[str, Any]], Behaviour]]] = {
    "uniform": _uniform,
    "gaussian": _gaussian,
    "epsilon_greedy": _epsilon_greedy,
    "softmax": _softmax,
}


def log(
    out: Annotated[
        str,
        typer.Argument(
            help="Id of a Minari dataset, namespace/name-v0, or a bandit log, FILE.npz/.parquet."
        ),
    ],
    task: Annotated[str, typer.Option(help="Registered id.")] = "RetailSynth-v0",
    behaviour: Annotated[
        str, typer.Option(help="uniform, gaussian, epsilon_greedy or softmax.")
    ] = "uniform",
    policy: Annotated[
        str,
        typer.Option(help="What it is built around: of the zoo, DEPTH,FREQUENCY; coupons: an arm."),
    ] = "III",
    sd: Annotated[str, typer.Option(help="Gaussian: of depth and frequency.")] = "0.05,0.06",
    epsilon: Annotated[
        float, typer.Option(help="Share of uniformly random actions (epsilon_greedy, gaussian).")
    ] = 0.1,
    temperature: Annotated[
        float, typer.Option(help="Softmax: of squared distances, the action box's sides 1.")
    ] = 0.02,
    grid: Annotated[bool, typer.Option("--grid", help="Pricing: 31 numbered actions.")] = False,
    episodes: Annotated[int, typer.Option(min=1)] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the first episode; then counting up.")] = 0,
    preset: Annotated[str | None, typer.Option(help="Instead of the task's.")] = None,
    world_seed: Annotated[int | None, typer.Option(min=0, help="Store.")] = None,
    weeks: Annotated[int, typer.Option(min=1)] = 53,
    customers: Annotated[int | None, typer.Option(min=1, help="Number of customers.")] = None,
    level: Annotated[
        str | None,
        typer.Option(help="Coupons: an episode a customer (customer, default) or a store (store)."),
    ] = None,
    data_format: Annotated[str, typer.Option("--format", help="hdf5, arrow or parquet.")] = "hdf5",
    root: Annotated[
        Path | None, typer.Option(help="Folder of all datasets; default: MINARI_DATASETS_PATH.")
    ] = None,
) -> None:
    """Log decisions with exact propensities, as a Minari dataset or a bandit log."""
    import gymnasium as gym

    from retail_gym.data.bandit_log import write_bandit
    from retail_gym.data.logged import log_episodes
    from retail_gym.data.minari_format import write_minari
    from retail_gym.envs import DiscretePricing
    from retail_gym.registration import IDS

    check_choice("behaviour", behaviour, _BEHAVIOURS)
    check_choice("task", task, IDS)
    given = {"preset": preset, "world_seed": world_seed, "n_customers": customers}
    kwargs: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
    env: Any = gym.make(task, horizon=weeks, **kwargs)
    if grid:
        env = DiscretePricing(env)
    options = {"policy": policy, "sd": sd, "epsilon": epsilon, "temperature": temperature}
    who = _BEHAVIOURS[behaviour](env, options)
    seeds = range(seed, seed + check_int("episodes", episodes, 1))
    file = Path(out)
    if file.suffix:
        check_writable(file)
        rows = write_bandit(file, log_episodes(env, who, seeds, progress=True))
        typer.echo(f"bandit log: {file} ({rows} decisions of {who})")
        return
    folder = write_minari(
        out, env, who, log_episodes(env, who, seeds, progress=True),
        level=level, root=root, data_format=data_format,
    )  # fmt: skip
    typer.echo(f"dataset: {folder} ({episodes} episodes of {who})")
