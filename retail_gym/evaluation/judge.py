"""One call that judges a synthetic table: fidelity, utility, privacy.

``judge(real, synthetic, holdout)`` runs the three parts and gives one report. What each number
means, and which are known to mislead, is in ``docs/judging.md``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retail_gym.config import atomic_write, check_choice, check_int
from retail_gym.data.table import Transactions
from retail_gym.evaluation.fidelity import fidelity
from retail_gym.evaluation.measures import Measure, measures_frame, plain_number
from retail_gym.evaluation.privacy import privacy
from retail_gym.evaluation.utility import utility

if TYPE_CHECKING:
    import polars as pl

__all__ = ["HOLDOUT_SHARE", "PARTS", "Judgement", "judge"]

#: Share of the real customers set aside where no holdout is given.
HOLDOUT_SHARE: Final = 0.3
#: Below this number of customers other real ones differ so much that everything passes.
FEW: Final = 50

#: Name of a part -> its function (real, synthetic, holdout, labels=..., seed=...).
PARTS: Final[Mapping[str, Callable[..., Any]]] = {
    "fidelity": fidelity,
    "utility": utility,
    "privacy": privacy,
}


@dataclass(frozen=True, eq=False)
class Judgement:
    """What :func:`judge` found.

    Attributes:
        real: name of the real table.
        synthetic: name of the judged one.
        holdout: name of the real customers that the generator has not seen.
        seed: of all draws.
        parts: name -> the part's own report, which has what pictures need
            (for example ``parts["fidelity"].synthetic.theils_u``).
        notes: what to know before reading any number.
    """

    real: str
    synthetic: str
    holdout: str
    seed: int
    parts: Mapping[str, Any] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Every measure of every part."""
        return tuple(measure for part in self.parts.values() for measure in part.measures)

    def __getitem__(self, key: str) -> Measure:
        """The measure of a key.

        Raises:
            ValueError: for an unknown key.
        """
        found = {measure.key: measure for measure in self.measures}
        check_choice("measure", key, found)
        return found[key]

    def passed(self, part: str) -> bool:
        """Whether a part failed none of its tests."""
        check_choice("part", part, self.parts)
        return all(measure.passed is not False for measure in self.parts[part].measures)

    def table(self) -> pl.DataFrame:
        """One row a measure: the columns are those of ``Measure``."""
        return measures_frame(self.measures)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON allows it."""
        plain: dict[str, Any] = plain_number(
            {
                "real": self.real,
                "synthetic": self.synthetic,
                "holdout": self.holdout,
                "seed": self.seed,
                "notes": list(self.notes),
                "passed": {part: self.passed(part) for part in self.parts},
                "measures": [asdict(measure) for measure in self.measures],
            }
        )
        return plain

    def to_json(self) -> str:
        """The report as JSON; what cannot be computed is null."""
        return json.dumps(self.to_dict(), indent=2)

    def describe(self) -> str:
        """The report as text."""
        lines = [f"{self.synthetic} judged by {self.real} (holdout: {self.holdout})", *self.notes]
        for name, part in self.parts.items():
            tested = [m for m in part.measures if m.passed is not None]
            good = sum(bool(m.passed) for m in tested)
            lines.append(f"\n{name}: {good} of {len(tested)} tests passed")
            lines.append(f"  {'':54}{'value':>10}{'ceiling':>10}{'ideal':>7}  interval")
            lines += [_line(measure) for measure in part.measures]
        return "\n".join(lines)

    def write(self, folder: str | Path) -> None:
        """Write ``judgement.json`` and ``judgement.csv``."""
        with atomic_write(Path(folder) / "judgement.json") as stream:
            stream.write(self.to_json().encode())
        with atomic_write(Path(folder) / "judgement.csv") as stream:
            self.table().write_csv(stream)


def _line(measure: Measure) -> str:
    def number(value: float | None, width: int) -> str:
        text = "-" if value is None or np.isnan(value) else f"{value:.4g}"
        return f"{text:>{width}}"

    interval = "" if measure.low is None else f"[{measure.low:.4g}, {measure.high:.4g}]"
    verdict = {True: "", False: "  FAILS", None: ""}[measure.passed]
    note = f"  ({measure.note})" if measure.note else ""
    return (
        f"  {measure.title:54.54}{number(measure.value, 10)}{number(measure.ceiling, 10)}"
        f"{number(measure.ideal, 7)}  {interval}{verdict}{note}"
    )


def _split(real: Transactions, seed: int) -> tuple[Transactions, Transactions]:
    """Some of the customers set aside as a holdout."""
    if real.n_customers < 2:
        raise ValueError(
            f"{real.name} has {real.n_customers} customer: judging needs two at least, so that one "
            "can be set aside, or a holdout of other customers"
        )
    order = np.random.default_rng([seed, 3]).permutation(real.n_customers)
    away = max(1, round(HOLDOUT_SHARE * real.n_customers))
    customers = real.customers[order]
    return (
        real.select(np.sort(customers[away:])),
        real.select(np.sort(customers[:away]), f"{HOLDOUT_SHARE:.0%} of {real.name}"),
    )


def judge(
    real: Transactions,
    synthetic: Transactions,
    holdout: Transactions | None = None,
    *,
    parts: Iterable[str] = tuple(PARTS),
    labels: str = "auto",
    seed: int = 0,
) -> Judgement:
    """Judge a synthetic table.

    Args:
        real: real purchases, those that the generator was fitted on.
        synthetic: generated purchases.
        holdout: real purchases of other customers, which the generator has not seen. Without
            them 30 % of the real customers are set aside: right for a table that was made
            without the real one; a generator that was fitted on all of them has seen these
            too, and leaks cannot be told from chance.
        parts: which of "fidelity", "utility", "privacy".
        labels: "auto", "shared" or "ranked", see
            :func:`~retail_gym.evaluation.sides.match_labels`.
        seed: of all draws; same seed, same report.

    Returns:
        The report.

    Raises:
        ValueError: for an unknown part, tables that are too small, a holdout with customers of
            the real table, or one that is the synthetic table itself.
    """
    wanted = [parts] if isinstance(parts, str) else list(parts)
    for part in wanted:
        check_choice("part", part, PARTS)
    seed = check_int("seed", seed, 0)
    notes = []
    if holdout is None:
        real, holdout = _split(real, seed)
        notes.append(
            "no holdout given: some real customers were set aside, which a generator fitted on "
            "the whole real table has seen"
        )
    elif holdout.frame.equals(synthetic.frame):
        raise ValueError("the holdout is the synthetic table itself: give another holdout, or none")
    elif np.isin(holdout.customers, real.customers).any():
        raise ValueError(
            f"{holdout.name} has customers of {real.name}: a holdout must have none of them"
        )
    smallest = min(real, synthetic, holdout, key=lambda table: table.n_customers)
    if smallest.n_customers < FEW:
        notes.append(
            f"{smallest.name} has {smallest.n_customers} customers: too few to tell tables apart, "
            "a test that is passed says little"
        )
    reports = {
        part: PARTS[part](real, synthetic, holdout, labels=labels, seed=seed)
        for part in PARTS
        if part in wanted
    }
    return Judgement(real.name, synthetic.name, holdout.name, seed, reports, tuple(notes))
