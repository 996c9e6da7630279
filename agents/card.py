"""The card of a training run: ``card.json``, and the same as text for a model's page."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from retail_gym import __version__
from retail_gym.config import atomic_write, check_int, to_plain

__all__ = [
    "CARD",
    "POLICY",
    "finish",
    "markdown",
    "new_card",
    "open_run",
    "read_card",
    "write_card",
]

CARD: Final = "card.json"
POLICY: Final = "policy.npz"
_UNSET: Final = "not set"
#: What a resumed run must share with the one it goes on from; ``steps`` may grow.
_IDENTITY: Final = ("agent", "task", "seed", "env", "hyperparameters")


def new_card(
    agent: str,
    task: str,
    *,
    seed: int,
    steps: int,
    env: Mapping[str, Any],
    hyperparameters: Mapping[str, Any],
    changes: Mapping[str, Any] | None = None,
    packages: tuple[str, ...] = (),
) -> dict[str, Any]:
    """What is known of a run before it starts.

    Args:
        agent: name in the registry.
        task: id.
        seed: of the training.
        steps: environment steps to take.
        env: arguments of the environment beyond the task's own.
        hyperparameters: of the agent, all of them.
        changes: those that are not the recipe's.
        packages: whose versions matter, beside NumPy, Gymnasium and this one.
    """
    command = ["python", "-m", "agents.train", agent, "--task", task, "--seed", str(seed)]
    command += ["--steps", str(steps)]
    for flag, table in (("--env", env), ("--set", changes or {})):
        for name, value in table.items():
            text = value if isinstance(value, str) else json.dumps(_plain(value))
            command += [flag, f"{name}={text}"]
    versions = {"python": platform.python_version(), "retail-gym": __version__}
    for name in ("numpy", "gymnasium", *packages):
        versions[name] = importlib.metadata.version(name)
    card: dict[str, Any] = to_plain(
        {
            "agent": agent,
            "task": task,
            "seed": check_int("seed", seed, 0),
            "steps": check_int("steps", steps, 1),
            "env": {name: _plain(value) for name, value in env.items()},
            "hyperparameters": hyperparameters,
            "command": shlex.join(command),
            "versions": versions,
            "status": "running",
        }
    )
    return card


def _plain(value: Any) -> Any:
    """An argument as JSON can hold it."""
    plain = to_plain(value)
    return (
        plain if isinstance(plain, str | int | float | bool | list | dict | None) else repr(value)
    )


def read_card(directory: Path) -> dict[str, Any]:
    """The card of a run or a trained model.

    Raises:
        FileNotFoundError: if the folder has none.
        ValueError: if it is damaged.
    """
    path = directory / CARD
    if not path.is_file():
        raise FileNotFoundError(2, f"no {CARD} in {directory}: it is not the folder of a run")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    if not isinstance(card, dict):
        raise ValueError(f"{path} is damaged: it holds no table")
    return card


def write_card(directory: Path, card: Mapping[str, Any]) -> None:
    """Write the card.

    Raises:
        ValueError: if a number on it is not finite.
    """
    try:
        text = json.dumps(card, indent=2, allow_nan=False)
    except ValueError as error:
        raise ValueError(
            f"the card of {directory} holds a number that JSON lacks: {error}"
        ) from None
    with atomic_write(directory / CARD) as stream:
        stream.write((text + "\n").encode())


def open_run(directory: Path, card: Mapping[str, Any], resume: bool) -> None:
    """Begin a run in a folder, or go on with the one that is there.

    Args:
        directory: of the run; made where it is missing.
        card: of the run that is to start.
        resume: whether a run that is there is gone on with.

    Raises:
        FileExistsError: if a run is there and ``resume`` is False.
        ValueError: if the run that is there is another one.
    """
    if (directory / CARD).exists():
        if not resume:
            raise FileExistsError(
                17, f"{directory} holds a run: go on with it by --resume, or choose another folder"
            )
        there = read_card(directory)
        differ = [
            line for name in _IDENTITY for line in _differences(name, there.get(name), card[name])
        ]
        if there.get("agent") != card["agent"]:
            differ = differ[:1]  # another agent has other hyper-parameters anyway
        if differ:
            raise ValueError(
                f"{directory} holds another run: its {', its '.join(differ)}. Resume with the same "
                "settings, or choose another folder"
            )
    write_card(directory, card)


def _differences(name: str, there: Any, here: Any) -> list[str]:
    """What a value on a card is and should be; of a table, only the keys that differ."""
    if isinstance(there, dict) and isinstance(here, dict):
        keys = [key for key in there | here if there.get(key, _UNSET) != here.get(key, _UNSET)]
        return [
            f"{name} {key} is {there.get(key, _UNSET)!r}, not {here.get(key, _UNSET)!r}"
            for key in keys
        ]
    return [] if there == here else [f"{name} is {there!r}, not {here!r}"]


def finish(directory: Path, card: dict[str, Any], **results: Any) -> None:
    """Mark a run as complete, with what it came to."""
    write_card(directory, card | to_plain(results) | {"status": "complete"})


def markdown(card: Mapping[str, Any]) -> str:
    """The card as a page."""
    env = ", ".join(f"{k}={v}" for k, v in card["env"].items()) or "as registered"
    versions = ", ".join(f"{k} {v}" for k, v in card["versions"].items())
    lines = [
        f"# {card['agent']} on {card['task']}",
        "",
        f"* Task: `{card['task']}`, environment {env}.",
        f"* Trained with seed {card['seed']} for {card['steps']:,} environment steps in "
        f"{card['wall_seconds']:.0f} s ({card['cpu_seconds']:.0f} s of CPU), one process.",
        f"* Command: `{card['command']}`",
        f"* Versions: {versions}.",
        "* Files: `policy.npz` (plain arrays, runs in NumPy), `card.json` (this page as data, "
        "with every hyper-parameter).",
    ]
    if "scores" in card:
        best = [row["policy"] for row in card["scores"] if row["policy"].startswith("best known")]
        one = "the best known policy" if best else "the best of I-V"
        lines += [
            "",
            f"{card['test_episodes']} test episodes (seeds from 0), undiscounted return; normalised: "
            f"0 for uniformly random actions, 1 for {one}.",
            "",
            "| policy | return | 95 % interval | normalised |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {row['policy']} | {row['return']:.3f} | [{row['low']:.3f}, {row['high']:.3f}] | "
            f"{row['normalised']:.3f} |"
            for row in card["scores"]
        ]
    return "\n".join(lines) + "\n"
