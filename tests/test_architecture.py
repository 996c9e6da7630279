"""Imports flow one way, heavy packages stay out of the way, files stay readable."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import retail_gym

ROOT = Path(retail_gym.__file__).parent
LAYERS: list[set[str]] = [
    {"config", "counts", "figures", "rng", "registration", "__version__"},
    {"model"},
    {"world"},
    {"promotion", "kernels"},
    {"outcome", "simulator"},
    {"policies", "envs", "parallel"},
    {"evaluation", "calibration", "data", "generators"},
    {"plotting", "conformance", "bench", "cli", "__main__"},
]
LAYER = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
FACADE = "retail_gym"  # the package's own __init__: public names of all rooms, loaded on first use
VERSION = "retail_gym.__version__"  # the one public name that is below all rooms
HEAVY = {"torch", "stable_baselines3", "pettingzoo", "polars", "matplotlib"}
LONGEST_FILE = 350


class Import(NamedTuple):
    target: str  # dotted module
    line: int
    typing_only: bool
    deferred: bool  # inside a function: runs when called, not when imported


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def room(module: str) -> str:
    """``retail_gym.world.noise`` -> ``world``; the package itself -> ``retail_gym``."""
    return [*module.split("."), ""][1] or FACADE


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def imports(source: str) -> Iterator[Import]:
    def walk(node: ast.AST, typing_only: bool, deferred: bool) -> Iterator[Import]:
        match node:
            case ast.Import():
                for alias in node.names:
                    yield Import(alias.name, node.lineno, typing_only, deferred)
            case ast.ImportFrom():
                base = node.module or ""
                assert node.level == 0, f"line {node.lineno}: relative import"
                for alias in node.names:
                    # `from retail_gym import rng` imports a module, `... import World` a name.
                    inner = f"{base}.{alias.name}"
                    target = inner if inner in SOURCES or inner == VERSION else base
                    yield Import(target, node.lineno, typing_only, deferred)
            case ast.If() if _is_type_checking(node.test):
                for child in node.body:
                    yield from walk(child, True, deferred)
                for child in node.orelse:
                    yield from walk(child, typing_only, deferred)
            case _:
                inside = deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                for child in ast.iter_child_nodes(node):
                    yield from walk(child, typing_only, inside)

    return walk(ast.parse(source), False, False)


IMPORTS = {
    module: list(imports(path.read_text(encoding="utf-8"))) for module, path in SOURCES.items()
}


def loaded_by(module: str) -> set[str]:
    """Our modules that importing ``module`` executes, found without executing them."""
    found: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name in found or name not in SOURCES:
            continue
        found.add(name)
        todo.append(name.rpartition(".")[0])
        todo += [i.target for i in IMPORTS[name] if not (i.typing_only or i.deferred)]
    return found


def test_every_room_has_a_layer() -> None:
    assert {room(module) for module in SOURCES} - {FACADE} <= set(LAYER)


@pytest.mark.parametrize("module", sorted(set(SOURCES) - {FACADE}))
def test_imports_flow_one_way(module: str) -> None:
    # A function that imports from above still depends on it; only a type's name may look up.
    here = room(module)
    upward = [
        f"line {i.line}: {i.target}"
        for i in IMPORTS[module]
        if i.target.split(".")[0] == "retail_gym"
        and not i.typing_only
        and room(i.target) != here
        and (room(i.target) == FACADE or LAYER[room(i.target)] > LAYER[here])
    ]
    assert upward == []


@pytest.mark.parametrize("module", [m for m in SOURCES if room(m) == "model"])
def test_model_stands_on_config_and_rng_only(module: str) -> None:
    ours = {room(i.target) for i in IMPORTS[module] if i.target.startswith("retail_gym")}
    assert ours <= {"model", "config", "rng"}


def test_rooms_of_one_layer_do_not_go_in_circles() -> None:
    graph: dict[str, set[str]] = {}
    for module in set(SOURCES) - {FACADE}:
        ours = (i for i in IMPORTS[module] if i.target.startswith("retail_gym."))
        targets = {room(i.target) for i in ours if not i.typing_only}
        graph.setdefault(room(module), set()).update(targets - {room(module)})
    TopologicalSorter(graph).prepare()  # raises CycleError, naming the circle


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_package_does_not_know_the_checkout(module: str) -> None:
    tops = {i.target.split(".")[0] for i in IMPORTS[module]}
    assert not tops & {"agents", "experiments", "tests", "benchmarks"}


@pytest.mark.parametrize("start", ["retail_gym", "retail_gym.envs.pricing"])
def test_heavy_packages_are_imported_lazily(start: str) -> None:
    eager = [
        f"{module}:{i.line} {i.target}"
        for module in sorted(loaded_by(start))
        for i in IMPORTS[module]
        if i.target.split(".")[0] in HEAVY and not (i.typing_only or i.deferred)
    ]
    assert eager == []


def test_import_loads_nothing_heavy(tmp_path: Path) -> None:
    # Run elsewhere, so that the installed package is tested where there is one.
    code = (
        "import sys\n"
        "try:\n    import retail_gym\n"
        f"except ModuleNotFoundError:\n    sys.path.insert(0, {str(ROOT.parent)!r})\n"
        "    import retail_gym\n"
        f"print(*sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_file_is_short_enough_to_read(module: str) -> None:
    length = len(SOURCES[module].read_text(encoding="utf-8").splitlines())
    assert length <= LONGEST_FILE, f"{length} lines; split it by concern"
