"""Joint fidelity: how strongly the columns of a row go together, pair by pair.

* numbers with numbers: Pearson's correlation r (of logarithms, but for the discount, so that a
  few bulk purchases do not decide);
* labels with labels: Theil's U(X|Y) = (H(X) - H(X|Y)) / H(X), the share of the uncertainty of X
  that knowing Y removes; not symmetric;
* numbers with labels: the correlation ratio eta, eta^2 = variance between labels / variance.

None needs labels that both tables share. U and eta of a label with many values are biased
upwards, the more the fewer the rows: compare tables of equal size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.data.table import Transactions
from retail_gym.evaluation.fidelity.distances import NOMINAL, NUMERIC, label_column

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["Associations", "associations", "correlation_ratio", "differences", "theils_u"]

#: Labels of a row whose association is measured; the customer too, for people have habits.
LABELS: Final = ("customer", *NOMINAL)


@dataclass(frozen=True, eq=False)
class Associations:
    """The three matrices of a table."""

    pearson: Floats = field(repr=False)  # NUMERIC x NUMERIC
    theils_u: Floats = field(repr=False)  # LABELS x LABELS: row explained by column
    correlation_ratio: Floats = field(repr=False)  # LABELS x NUMERIC

    names: ClassVar[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
        "pearson": (tuple(NUMERIC), tuple(NUMERIC)),
        "theils_u": (LABELS, LABELS),
        "correlation_ratio": (LABELS, tuple(NUMERIC)),
    }


def _entropy(codes: Ints) -> float:
    share = np.unique(codes, return_counts=True)[1] / codes.size
    return float(-(share * np.log(share)).sum())


def theils_u(x: Ints, y: Ints) -> float:
    """Theil's U(X|Y): 0 where Y says nothing about X, 1 where it decides it.

    Args:
        x: codes from 0, shape (L,).
        y: codes from 0, shape (L,).

    Returns:
        The share; 1 where X has one value.
    """
    return _explained(_entropy(x), _entropy(y), _entropy(_pairs(x, y)))


def _pairs(x: Ints, y: Ints) -> Ints:
    """A code for each pair of codes."""
    return np.asarray(x.astype(np.int64) * (int(y.max()) + 1) + y)


def _explained(x: float, y: float, joint: float) -> float:
    """Theil's U(X|Y) of three entropies."""
    return float(np.clip((x + y - joint) / x, 0.0, 1.0)) if x > 0.0 else 1.0


def correlation_ratio(values: Floats, group: Ints) -> float:
    """Correlation ratio eta of numbers and labels: 0 for equal means, 1 where labels decide.

    Args:
        values: shape (L,).
        group: codes from 0, shape (L,).

    Returns:
        The ratio; 0 where the values do not vary.
    """
    centred = values - values.mean()
    total = float((centred**2).sum())
    if total <= 1e-12 * max(1.0, float((values**2).sum())):
        return 0.0
    n = np.bincount(group)
    sums = np.bincount(group, weights=centred)
    between = float((sums**2 / np.maximum(n, 1)).sum())
    return float(np.sqrt(min(1.0, between / total)))


def associations(table: Transactions) -> Associations:
    """Measure a table's matrices."""
    frame = table.frame
    numbers = {
        key: frame[key].to_numpy().astype(np.float64)
        if key == "discount"
        else np.log(frame[key].to_numpy().astype(np.float64))
        for key in NUMERIC
    }
    codes: dict[str, Ints] = {}
    for key in LABELS:
        ranks = label_column(table, key).cast(_code_type(key, table)).rank("dense")
        codes[key] = ranks.to_numpy().astype(np.int64) - 1
    with np.errstate(invalid="ignore", divide="ignore"):  # a column that does not vary: nan
        pearson = np.corrcoef(np.stack(list(numbers.values())))
    alone = {x: _entropy(codes[x]) for x in LABELS}
    joint = {(x, x): alone[x] for x in LABELS}
    for x, y in combinations(LABELS, 2):
        joint[x, y] = joint[y, x] = _entropy(_pairs(codes[x], codes[y]))
    u = np.array([[_explained(alone[x], alone[y], joint[x, y]) for y in LABELS] for x in LABELS])
    eta = np.array(
        [[correlation_ratio(values, codes[x]) for values in numbers.values()] for x in LABELS]
    )
    return Associations(np.nan_to_num(pearson, nan=0.0), u, eta)


def _code_type(key: str, table: Transactions) -> Any:
    """A type whose ranks are quick: texts by their first appearance."""
    import polars as pl

    column = label_column(table, key)
    if column.dtype == pl.String:
        return pl.Enum(column.unique(maintain_order=True))
    return pl.Int64 if column.dtype == pl.Boolean else column.dtype


def differences(real: Associations, synthetic: Associations) -> dict[str, float]:
    """How far the matrices of two tables are apart.

    Returns:
        For each matrix the mean absolute difference (``NAME_mean``; the diagonals of 1 left
        out) and the Frobenius norm of the difference (``NAME_frobenius``).
    """
    found = {}
    for name in Associations.names:
        gap = getattr(real, name) - getattr(synthetic, name)
        inner = gap if name == "correlation_ratio" else gap[~np.eye(len(gap), dtype=bool)]
        found[f"{name}_mean"] = float(np.abs(inner).mean())
        found[f"{name}_frobenius"] = float(np.sqrt((gap**2).sum()))
    return found
