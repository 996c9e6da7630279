"""``python -m agents.evaluate PATH``: a trained agent beside policies I-V on the test seeds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import gymnasium as gym
import typer

from agents.card import read_card
from agents.loading import PRETRAINED, load, load_pretrained, pretrained_names
from agents.options import EnvOptions, main, pairs
from agents.tasks import ELSEWHERE, TEST_KWARGS, task_id
from retail_gym.evaluation import bootstrap_mean, evaluate, normalised_score, reference_scores
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
    """Policies beside random and I-V on the same luck.

    The task as it is registered, on the seeds of the shipped reference scores, is normalised by
    them and its best known policy is a row from them; anything else by random and the best of
    I-V. Stores drawn from a pool are drawn from its test stores unless ``env_kwargs`` say otherwise.

    Args:
        task: id.
        policies: name -> policy.
        seeds: of the episodes, one each.
        env_kwargs: arguments of the environment; ``horizon`` is the number of weeks.
        workers: processes.

    Returns:
        One dict a policy: policy, return (mean), low, high (95 % bootstrap interval over seeds),
        normalised, revenue, margin, retention; the last three None where they are not on record.

    Raises:
        ValueError: for a task that is not about depth and frequency.
    """
    name, seeds = task_id(task), list(seeds)
    if name in ELSEWHERE:
        raise ValueError(f"agents of {name} are trained and scored by: {ELSEWHERE[name]}")
    kwargs = TEST_KWARGS.get(name, {}) | dict(env_kwargs or {})
    segments = int(kwargs.get("segments", gym.spec(name).kwargs.get("segments", 1)))
    weeks = int(kwargs.pop("horizon", 53))
    field: dict[str, Policy] = {"random": UniformRandom(segments)}
    field |= {label: scenario(label) for label in SCENARIOS}
    runs = evaluate(name, field | dict(policies), weeks, seeds, workers=workers, **kwargs)
    rows = []
    for (label,), part in runs.group_by("policy", maintain_order=True):
        interval = bootstrap_mean(part["return"].to_numpy())
        row = {"policy": label, "return": interval.mean, "low": interval.low, "high": interval.high}
        row |= {
            key: float(part[key].to_numpy().mean()) for key in ("revenue", "margin", "retention")
        }
        rows.append(row)
    known = reference_scores().get(name)
    if known is None or env_kwargs or seeds != list(range(*known["seeds"]["test"])):
        scores = normalised({str(row["policy"]): float(row["return"]) for row in rows})
        return [row | {"normalised": scores[row["policy"]]} for row in rows]
    best = {key: known["policies"][known["best"]][key] for key in ("return", "low", "high")}
    best |= dict.fromkeys(("revenue", "margin", "retention"))
    rows.insert(len(field), {"policy": f"best known: {known['best']}"} | best)
    # Rounded: the last bits of a mean are no score, and would show as -0.000.
    return [row | {"normalised": _tidy(normalised_score(row["return"], name))} for row in rows]


def _tidy(score: float) -> float:
    return round(score, 12) + 0.0


def normalised(means: Mapping[str, float]) -> dict[str, float]:
    """Mean returns on a scale from 0, a uniformly random action every week, to 1, the best of I-V.

    For what has no reference scores: see :func:`retail_gym.evaluation.normalised_score`.
    """
    zero, one = means["random"], max(means[name] for name in SCENARIOS)
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
    """Score a trained agent beside random, policies I-V and the best known score."""
    known = path in pretrained_names()
    folder = PRETRAINED / path if known else Path(path)
    policy = load_pretrained(path) if known else load(folder, trust)
    card = read_card(folder) if folder.is_dir() else {"env": {}}
    if task is None and "task" not in card:
        raise ValueError("say by --task on what to score it: a file has no card")
    chosen = task or card["task"]
    # A card's arguments belong to its own task, and not to the test.
    test = TEST_KWARGS.get(chosen, {})
    own = card["env"] if chosen == card.get("task") else {}
    kwargs = {key: value for key, value in own.items() if key not in test} | pairs(env)
    rows = score_table(chosen, {folder.name: policy}, range(episodes), kwargs, workers)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    shipped = any(str(row["policy"]).startswith("best known") for row in rows)
    one = "the best known policy" if shipped else "the best of I-V"
    typer.echo(f"{chosen}, {episodes} test episodes: mean return [95 % interval], normalised")
    typer.echo(f"(0: uniformly random actions, 1: {one})")
    for row in rows:
        line = f"{row['policy']:24s} {row['return']:8.3f} [{row['low']:.3f}, {row['high']:.3f}] "
        line += f"{row['normalised']:7.3f}"
        if row["revenue"] is not None:
            line += f"   revenue {row['revenue']:9,.0f} $  margin {row['margin']:8,.0f} $"
            line += f"  retention {row['retention']:.3f}"
        typer.echo(line)


if __name__ == "__main__":
    main(app)
