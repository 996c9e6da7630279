"""``python -m agents.tune AGENT --task ID --trials N``: hyper-parameters by Optuna, resumable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from agents.options import EnvOptions, main, pairs
from agents.registry import AGENTS, agent_module, library
from agents.tasks import task_id

__all__ = ["app", "tune_agent"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def tune_agent(
    agent: str,
    task: str,
    trials: int,
    directory: Path,
    *,
    steps: int | None = None,
    seed: int = 0,
    env_kwargs: Mapping[str, Any] | None = None,
) -> Any:
    """Try hyper-parameters until the study holds ``trials`` finished ones.

    A trial whose validation score is below the median of those before it at the same step is
    stopped early. The study is kept in ``journal.log`` in the folder and goes on where it stopped.

    Args:
        agent: name.
        task: id.
        trials: finished trials (complete or stopped early) that the study shall hold.
        directory: of the study and of its runs.
        steps: environment steps a trial, by default the recipe's.
        seed: of the trainings and of the sampler.
        env_kwargs: arguments of the environment.

    Returns:
        The Optuna study.

    Raises:
        ImportError: without Optuna, naming what to install.
        ValueError: for an agent that has nothing to tune.
    """
    module = agent_module(agent)
    if not hasattr(module, "search_space"):
        raise ValueError(f"agent {agent!r} has no hyper-parameters to tune")
    optuna = library("optuna")
    storages = library("optuna.storages")
    backend = library("optuna.storages.journal").JournalFileBackend
    directory.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=f"{agent} {task}",
        storage=storages.JournalStorage(backend(str(directory / "journal.log"))),
        # By the number of trials so far, so that a resumed study does not draw the same again.
        sampler=optuna.samplers.TPESampler(seed=seed + _started(directory)),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=0),
        direction="maximize",
        load_if_exists=True,
    )

    def objective(trial: Any) -> float:
        best = [float("-inf")]

        def report(done: int, score: float) -> None:
            best[0] = max(best[0], score)
            trial.report(score, done)
            if trial.should_prune():
                raise optuna.TrialPruned

        module.train(
            task,
            seed=seed,
            steps=steps,
            directory=directory / f"trial-{trial.number}",
            env_kwargs=dict(env_kwargs or {}),
            hyperparameters=module.search_space(trial),
            tensorboard=False,
            on_evaluation=report,
        )
        return best[0]

    states = optuna.trial.TrialState
    done = study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED))
    study.optimize(objective, n_trials=max(0, trials - len(done)))
    return study


def _started(directory: Path) -> int:
    """Trials that were started in the folder."""
    return len(list(directory.glob("trial-*")))


@app.command()
def tune(
    agent: Annotated[str, typer.Argument(help=f"One of {', '.join(AGENTS)}.")],
    task: Annotated[str, typer.Option(help="Id of the task.")] = "RetailSynth-v0",
    trials: Annotated[int, typer.Option(min=1, help="Finished trials in the study.")] = 20,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps a trial.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of trainings and sampler.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder of the study.")] = None,
    env: EnvOptions = None,
) -> None:
    """Tune an agent; interrupted, the same command goes on with the study."""
    task_id(task)
    yaml = library("yaml")  # now, and not after the trials
    folder = out or Path("results/tune") / f"{agent}-{task.removeprefix('retail_gym:')}"
    study = tune_agent(agent, task, trials, folder, steps=steps, seed=seed, env_kwargs=pairs(env))
    from optuna.trial import FixedTrial

    typer.echo(f"# best of {len(study.trials)} trials: {study.best_value:.3f}")
    settings = agent_module(agent).search_space(FixedTrial(study.best_params))
    typer.echo(yaml.safe_dump(settings, sort_keys=False).rstrip())


if __name__ == "__main__":
    main(app)
