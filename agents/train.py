"""``python -m agents.train AGENT --task ID``: train an agent into a folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from agents.options import EnvOptions, Settings, main, pairs
from agents.registry import AGENTS, agent_module
from agents.tasks import ELSEWHERE, task_id

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def train(
    agent: Annotated[str, typer.Argument(help=f"One of {', '.join(AGENTS)}.")],
    task: Annotated[str, typer.Option(help="Id of the task.")] = "RetailSynth-v0",
    seed: Annotated[int, typer.Option(min=0, help="Of weights, exploration and luck.")] = 0,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Environment steps (default: the recipe's).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder (default: results/agents/TASK/AGENT-SEED).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run there.")] = False,
    env: EnvOptions = None,
    set_: Settings = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the environments (default: their choice).")
    ] = None,
    progress: Annotated[bool | None, typer.Option(help="Show a progress bar.")] = None,
    tensorboard: Annotated[bool, typer.Option(help="Write event files for TensorBoard.")] = True,
) -> None:
    """Train an agent; killed, it goes on where it stopped with --resume."""
    module = agent_module(agent)
    name = task_id(task)
    folder = out or Path("results/agents") / name / f"{agent}-{seed}"
    policy = module.train(
        task,
        seed=seed,
        steps=steps,
        directory=folder,
        resume=resume,
        env_kwargs=pairs(env),
        hyperparameters=pairs(set_),
        threads=threads,
        tensorboard=tensorboard,
        progress=sys.stderr.isatty() if progress is None else progress,
        on_evaluation=lambda done, score: typer.echo(f"{done:>9,} steps  return {score:.3f}"),
    )
    scores = ELSEWHERE.get(name, f"python -m agents.evaluate {folder}")
    typer.echo(f"{policy!r} in {folder}; scores: {scores}")


if __name__ == "__main__":
    main(app)
