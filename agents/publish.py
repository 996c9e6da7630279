"""``python -m agents.publish RUN...``: put trained models below ``agents/pretrained/``.

A model is ``policy.npz``, ``card.json`` and a page made of the card. Models of one task are
scored together, on the test seeds 0-99, beside random, policies I-V and the best known one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from agents.card import POLICY, markdown, read_card, write_card
from agents.evaluate import score_table
from agents.loading import PRETRAINED, load
from agents.numpy_policy import NumpyPolicy
from agents.options import main
from agents.tasks import task_id
from retail_gym.config import atomic_write

__all__ = ["app", "publish"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def publish(
    runs: Iterable[Path],
    out: Path = PRETRAINED,
    episodes: int = 100,
    workers: int | None = 1,
    force: bool = False,
) -> list[Path]:
    """Copy the policies of finished runs and write their cards, with scores.

    Args:
        runs: folders of runs.
        out: where the models go, each below ``AGENT-TASK``.
        episodes: test episodes.
        workers: processes.
        force: replace models that are there.

    Returns:
        The folders written.

    Raises:
        ValueError: for a run that is not complete, another environment than the task's own, two
            runs of one name, or an agent that is more than arrays.
        FileExistsError: if a model is there and ``force`` is False.
    """
    groups: dict[str, dict[str, tuple[Path, dict[str, object], NumpyPolicy]]] = {}
    for run in runs:
        card = read_card(run)
        if card.get("status") != "complete":
            raise ValueError(f"{run} is not complete: go on with it by --resume")
        policy = _arrays(run)
        task = task_id(card["task"])
        name = f"{card['agent']}-{task}"
        if card["env"]:
            raise ValueError(
                f"{run} was trained with {card['env']}: models of {task} as it is "
                "registered are published"
            )
        group = groups.setdefault(task, {})
        if name in group:
            raise ValueError(f"{group[name][0]} and {run} would both be {name}: publish one")
        if (out / name).exists() and not force:
            raise FileExistsError(17, f"{out / name} is there: replace it by --force")
        group[name] = (run, card, policy)
    written = []
    for task, group in groups.items():
        policies = {name: policy for name, (_, _, policy) in group.items()}
        rows = score_table(task, policies, range(episodes), workers=workers)
        for name, policy in policies.items():
            mine = [row for row in rows if row["policy"] == name or row["policy"] not in policies]
            card = group[name][1] | {"scores": mine, "test_episodes": episodes}
            write_card(out / name, card)
            policy.save(out / name / POLICY)
            with atomic_write(out / name / "README.md") as stream:
                stream.write(markdown(card).encode())
            written.append(out / name)
    return written


def _arrays(run: Path) -> NumpyPolicy:
    """The policy of a run, if it is one that needs nothing but its arrays."""
    policy = load(run)
    if not isinstance(policy, NumpyPolicy):
        raise ValueError(f"{run} holds {policy!r}: only policies of plain arrays are published")
    return policy


@app.command()
def publish_runs(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")],
    out: Annotated[Path, typer.Option(help="Where the models go.")] = PRETRAINED,
    episodes: Annotated[int, typer.Option(min=2, help="Test episodes.")] = 100,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Replace models that are there.")] = False,
) -> None:
    """Put trained models below agents/pretrained, with their scores."""
    for folder in publish(runs, out, episodes, workers, force):
        typer.echo(f"{folder}")


if __name__ == "__main__":
    main(app)
