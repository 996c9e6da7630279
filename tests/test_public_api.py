"""What `import retail_gym` promises."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import gymnasium as gym
import pytest

import retail_gym

ROOT = Path(__file__).parents[1]
#: Names that outside checks and users rely on (architecture.md, Interfaces).
PROMISED = {
    "PromotionPlan", "RetailPricingEnv", "Simulator", "StoreConfig", "World", "evaluate",
    "make_world", "policies", "preset_names", "simulate",
}  # fmt: skip


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_promised_names_are_public() -> None:
    assert set(retail_gym.__all__) >= PROMISED
    assert len(set(retail_gym.__all__)) == len(retail_gym.__all__)


@pytest.mark.parametrize("name", retail_gym.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(retail_gym, name) is not None
    assert name in dir(retail_gym)


def test_public_names_are_the_objects_of_their_rooms() -> None:
    from retail_gym.envs.pricing import RetailPricingEnv
    from retail_gym.evaluation import evaluate, simulate
    from retail_gym.world import World

    assert retail_gym.RetailPricingEnv is RetailPricingEnv
    assert (retail_gym.simulate, retail_gym.evaluate) == (simulate, evaluate)
    assert retail_gym.World is World
    assert retail_gym.policies is import_module("retail_gym.policies")


def test_star_import_gives_every_public_name() -> None:
    space: dict[str, object] = {}
    exec("from retail_gym import *", space)
    assert set(retail_gym.__all__) <= set(space)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'retail_gym' has no attribute 'Wrold'"):
        retail_gym.Wrold  # noqa: B018
    with pytest.raises(ImportError, match="Wrold"):
        exec("from retail_gym import Wrold")


def test_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert retail_gym.__version__ == project["version"]


@pytest.mark.parametrize(
    ("pyproject", "expected"),
    [
        ('[project]\nname = "retail-gym"\nversion = "9.8.7"\n', "9.8.7"),
        ('[project]\nname = "other"\nversion = "9.8.7"\n', "0+unknown"),
        ("[tool.ruff]\n", "0+unknown"),
        ("[project", "0+unknown"),
        (None, "0+unknown"),
    ],
)
def test_version_of_a_checkout_that_is_not_installed(
    pyproject: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_installed(name: str) -> str:
        raise PackageNotFoundError(name)

    if pyproject is not None:
        (tmp_path / "pyproject.toml").write_text(pyproject, encoding="utf-8")
    monkeypatch.setattr(retail_gym, "version", not_installed)
    monkeypatch.setattr(retail_gym, "__file__", str(tmp_path / "retail_gym" / "__init__.py"))
    assert retail_gym._version() == expected


def test_import_registers_the_id_without_a_step_limit() -> None:
    spec = gym.spec("RetailSynth-v0")
    assert spec.max_episode_steps is None
    assert spec.entry_point == "retail_gym.envs.pricing:RetailPricingEnv"


def test_registering_again_changes_nothing() -> None:
    from retail_gym.registration import IDS, register_envs

    before = {env_id: gym.registry[env_id] for env_id in IDS}
    register_envs()  # a warning would be an error here
    assert all(gym.registry[env_id] is before[env_id] for env_id in IDS)


def test_import_alone_registers_in_a_fresh_process() -> None:
    done = python(
        "import gymnasium, sys\n"
        "assert 'RetailSynth-v0' not in gymnasium.registry\n"
        "import retail_gym\n"
        "assert 'RetailSynth-v0' in gymnasium.registry\n"
        "assert 'retail_gym.envs' not in sys.modules\n"  # loaded on first use
        "retail_gym.World, retail_gym.policies.HighLow\n"
        "assert 'policies' in dir(retail_gym)\n"
    )
    assert done.returncode == 0, done.stderr


def test_module_id_imports_the_package() -> None:
    done = python(
        "import gymnasium as gym, numpy as np\n"
        "env = gym.make('retail_gym:RetailSynth-v0', preset='tiny', disable_env_checker=True)\n"
        "env.reset(seed=0)\n"
        "print(env.step(np.array([0.25, 0.6], np.float32))[1])\n"
    )
    assert done.returncode == 0, done.stderr
    env = gym.make("RetailSynth-v0", preset="tiny")
    env.reset(seed=0)
    assert float(done.stdout) == env.step(env.action_space.high * [0.5, 1.0])[1]


@pytest.mark.parametrize(
    "room", ["evaluation", "policies", "world", "kernels", "model", "envs", "config", "rng",
             "plotting", "conformance", "evaluation.scenarios", "evaluation.rollout",
             "evaluation.statistics", "evaluation.search", "evaluation.elasticities"]
)  # fmt: skip
def test_names_that_a_room_lists_exist(room: str) -> None:
    module = import_module(f"retail_gym.{room}")
    for name in getattr(module, "__all__", []):
        assert hasattr(module, name), name


def test_package_says_that_it_is_typed() -> None:
    assert (Path(retail_gym.__file__).parent / "py.typed").is_file()
