"""``python -m agents.evaluate PATH``: a trained agent beside policies I-V on the test seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from agents.card import read_card
from agents.loading import PRETRAINED, load, load_pretrained, pretrained_names
from agents.options import EnvOptions, main, pairs
from agents.tasks import BEST_KNOWN, resolve
from retail_gym.evaluation import bootstrap_mean, evaluate
from retail_gym.policies import SCENARIOS, Policy, UniformRandom, scenario

__all__ = ["app", "normalised", "score_table"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def score_table(
    task: str,
    policies: Mapping[str, Policy],
    seeds: Iterable[int] = range(100),
    env_kwargs: Mapping[str, Any] | None = None,
    workers: int | None = 1,
) -> list[dict[str, Any]]:
    """Policies beside random, I-V and the best known policy, on the same luck.

    The best known policy is that of the task as it is registered: with other arguments of the
    environment the table has none.

    Args:
        task: id.
        policies: name -> policy.
        seeds: of the episodes, one each.
        env_kwargs: arguments of the environment; ``horizon`` is the number of weeks.
        workers: processes.

    Returns:
        One dict a policy: policy, return (mean), low, high (95 % bootstrap interval over seeds),
        normalised, revenue, margin, retention.
    """
    env_id, kwargs = resolve(task)
    kwargs |= dict(env_kwargs or {})
    segments = int(kwargs.get("segments", 1))
    weeks = int(kwargs.pop("horizon", 53))
    field: dict[str, Policy] = {"random": UniformRandom(segments)}
    field |= {name: scenario(name) for name in SCENARIOS}
    name = task.removeprefix("retail_gym:")
    if name in BEST_KNOWN and not env_kwargs:
        field["best known"] = BEST_KNOWN[name]
    runs = evaluate(env_id, field | dict(policies), weeks, seeds, workers=workers, **kwargs)
    rows = []
    for (name,), part in runs.group_by("policy", maintain_order=True):
        interval = bootstrap_mean(part["return"].to_numpy())
        row = {"policy": name, "return": interval.mean, "low": interval.low, "high": interval.high}
        row |= {
            key: float(part[key].to_numpy().mean()) for key in ("revenue", "margin", "retention")
        }
        rows.append(row)
    scores = normalised({str(row["policy"]): float(row["return"]) for row in rows})
    return [row | {"normalised": scores[row["policy"]]} for row in rows]


def normalised(means: Mapping[str, float]) -> dict[str, float]:
    """Mean returns on a scale from 0, a uniformly random action every week, to 1, the best known.

    Without a best known policy, 1 is the best of I-V.
    """
    zero = means["random"]
    one = means.get("best known", max(means[name] for name in SCENARIOS))
    return {name: (value - zero) / (one - zero) for name, value in means.items()}


@app.command()
def evaluate_agent(
    path: Annotated[str, typer.Argument(help="Folder, policy.npz, or name of a pretrained one.")],
    task: Annotated[str | None, typer.Option(help="Id (default: that of its card).")] = None,
    episodes: Annotated[int, typer.Option(min=2, help="Test episodes.")] = 100,
    env: EnvOptions = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = 1,
    trust: Annotated[bool, typer.Option("--trust", help="Read pickled Python.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a trained agent beside random, policies I-V and the best known policy."""
    known = path in pretrained_names()
    folder = PRETRAINED / path if known else Path(path)
    policy = load_pretrained(path) if known else load(folder, trust)
    card = read_card(folder) if folder.is_dir() else {"env": {}}
    if task is None and "task" not in card:
        raise ValueError("say by --task on what to score it: a file has no card")
    chosen = task or card["task"]
    # A card's arguments belong to its own task.
    kwargs = (card["env"] if chosen == card.get("task") else {}) | pairs(env)
    rows = score_table(chosen, {folder.name: policy}, range(episodes), kwargs, workers)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    typer.echo(f"{chosen}, {episodes} test episodes: mean return [95 % interval], normalised")
    for row in rows:
        typer.echo(
            f"{row['policy']:24s} {row['return']:8.3f} [{row['low']:.3f}, {row['high']:.3f}] "
            f"{row['normalised']:7.3f}   revenue {row['revenue']:9,.0f} $  margin "
            f"{row['margin']:8,.0f} $  retention {row['retention']:.3f}"
        )


if __name__ == "__main__":
    main(app)
