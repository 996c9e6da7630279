"""The equation index in ``retail_gym/model/README.md`` is complete and points at real functions."""

from __future__ import annotations

import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import retail_gym.model

FOLDER = Path(retail_gym.model.__path__[0])
LAST_EQUATION = 29


class Row(NamedTuple):
    equation: str
    symbol: str
    function: str


def read_index() -> list[Row]:
    lines = (FOLDER / "README.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("|")]
    rows = [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in table]
    assert rows[0] == ("paper equation", "symbol", "function")
    assert ("layer", "symbol", "function") in rows  # a second table
    heads = {index for index, row in enumerate(rows) if row.symbol == "symbol"}
    body = [row for index, row in enumerate(rows) if not heads & {index, index - 1}]
    return [row._replace(function=row.function.strip("`")) for row in body]


INDEX = read_index()


def resolve(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def public_functions() -> set[str]:
    found = set()
    for info in pkgutil.iter_modules([str(FOLDER)], "retail_gym.model."):
        module = import_module(info.name)
        found |= {
            f"{info.name}.{name}"
            for name in module.__all__
            if inspect.isfunction(getattr(module, name))
        }
    return found


@pytest.mark.parametrize("path", sorted({row.function for row in INDEX}))
def test_row_resolves(path: str) -> None:
    function = resolve(path)
    assert callable(function)
    assert f"{function.__module__}.{function.__qualname__}" == path, "name the function's home"


def test_every_public_function_is_indexed() -> None:
    assert public_functions() - {row.function for row in INDEX} == set()


def test_every_equation_is_indexed_in_order() -> None:
    # A row such as "eq. 10-12" sums up rows of its own; only single equations are counted.
    numbers = [int(m[1]) for row in INDEX if (m := re.match(r"eq\. (\d+)(?!\d|-)", row.equation))]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, LAST_EQUATION + 1))
