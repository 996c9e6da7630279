"""One number of a judgement: what was measured, what it should be, what real customers reach."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Measure", "measures_frame", "plain_number"]

_FLOATS: Final = ("value", "ideal", "ceiling", "ceiling_sd", "low", "high", "p_value")


@dataclass(frozen=True)
class Measure:
    """A number, with what it takes to read it.

    Attributes:
        part: "fidelity", "utility" or "privacy".
        key: name, unique within a judgement.
        title: for tables.
        value: what was measured; nan where it cannot be computed.
        ideal: value of a perfect table; None where there is no such thing.
        ceiling: what real customers reach in place of the synthetic ones; None if not measured.
        ceiling_sd: its standard deviation over draws of customers.
        low: lower end of an interval for the value.
        high: upper end.
        p_value: of the test, where it has one.
        passed: whether the value passes the test that its part states; None where it has none.
        note: what to know before reading it.
    """

    part: str
    key: str
    title: str
    value: float
    ideal: float | None = None
    ceiling: float | None = None
    ceiling_sd: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    passed: bool | None = None
    note: str = ""


def measures_frame(measures: Iterable[Measure]) -> pl.DataFrame:
    """A table with a row for each measure and a column for each attribute."""
    import polars as pl

    rows = [asdict(measure) for measure in measures]
    kinds: dict[str, Any] = dict.fromkeys(_FLOATS, pl.Float64) | {"passed": pl.Boolean}
    texts = ("part", "key", "title")
    schema = dict.fromkeys(texts, pl.String) | kinds | {"note": pl.String}
    return pl.DataFrame(rows, schema=schema)


def plain_number(value: Any) -> Any:
    """Nested values as JSON allows them: arrays as lists, nan and infinities as null."""
    if isinstance(value, dict):
        return {str(key): plain_number(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_number(item) for item in value]
    if isinstance(value, np.ndarray):
        array: NDArray[Any] = value
        return plain_number(array.tolist())
    if isinstance(value, np.generic):
        return plain_number(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
