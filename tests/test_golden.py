"""Golden trajectories: the same seed and actions give the same weeks, in every release of v0.

``python tests/test_golden.py --write`` makes the files anew, which is right only together with a
new environment version. Whole numbers are compared exactly, money to rtol 1e-9 (libraries of
elementary functions differ between platforms in the last bit) and float32 observations to one
unit in their last place. The actions are stored, so that nothing hangs on how they were drawn.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import retail_gym
from retail_gym.kernels import KERNELS
from retail_gym.policies import Planned

DATA = Path(__file__).parent / "data"
WEEKS = 53
ADVICE = (
    "the trajectory of RetailSynth-v0 has changed. If it was meant to, this is another environment "
    "version (v0 -> v1): register it, add a line to CHANGELOG.md, then run "
    "`python tests/test_golden.py --write`. If not, it is a bug"
)
#: Keyword arguments of the environment, and the seed of its reset.
CASES = {
    "tiny": ({"preset": "tiny"}, 0),
    "small_margin": ({"preset": "small", "segments": 3, "reward": "margin"}, 7),
    "calibrated": ({"preset": "calibrated", "n_customers": 10}, 0),
}
WHOLE = ("units", "lines", "visitors", "buyers", "customer", "product", "quantity")


def _actions(name):
    """Depth and frequency of every week: zeros, the bounds, and a sweep between them."""
    week, segments = np.arange(WEEKS), CASES[name][0].get("segments", 1)
    actions = np.concatenate(
        [
            [0.5 * ((week + 4 * s) % 11) / 10, 0.6 * ((week + 2 * s) % 7) / 6]
            for s in range(segments)
        ]
    ).T
    corners = [(0.5, 0.6), (0.0, 0.0), (0.5, 0.0), (0.0, 0.6)]
    actions[4:8] = actions[40:44] = np.tile(corners, segments)
    return actions.astype(np.float32)


def trajectory(name, actions=None, kernel=None):
    """Everything compared, by name."""
    kwargs, seed = CASES[name]
    env = gym.make("RetailSynth-v0", disable_env_checker=True, kernel=kernel, **kwargs)
    store = env.unwrapped
    plan = Planned(store.world.promotion) if actions is None else None
    observation, _ = env.reset(seed=seed)
    observations, rewards, money = [observation], [], []
    whole = {key: [] for key in WHOLE}
    for week in range(1, WEEKS + 1):
        action = plan(observation, week) if plan else actions[week - 1]
        observation, reward, terminated, truncated, info = env.step(action)
        assert not terminated
        assert truncated == (week == WEEKS)
        outcome, lines = store.outcome, store.outcome.lines
        observations.append(observation)
        rewards.append(reward)
        money.append([info["revenue"], info["margin"]])
        for key, value in (
            ("units", outcome.units), ("lines", outcome.categories),
            ("visitors", outcome.visited.sum()), ("buyers", outcome.buyers),
            ("customer", lines.customer.sum()), ("product", lines.product.sum()),
            ("quantity", (lines.quantity * (lines.product + 1)).sum()),
        ):  # fmt: skip
            whole[key].append(int(value))
    env.close()
    result = {key: np.array(value, dtype=np.int64) for key, value in whole.items()}
    result |= {
        "observations": np.stack(observations),
        "rewards": np.array(rewards),
        "money": np.array(money),
    }
    return result | ({} if actions is None else {"actions": actions})


def _file(name):
    return DATA / f"golden_v0_{name}.npz"


def golden(name):
    with np.load(_file(name)) as file:
        return {key: file[key] for key in file.files}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", CASES)
def test_the_trajectory_is_the_golden_one(name, kernel):
    expected = golden(name)
    ours = trajectory(name, expected.get("actions"), kernel)
    assert set(ours) == set(expected)
    for key in WHOLE:
        assert np.array_equal(ours[key], expected[key]), f"{name}: {key}: {ADVICE}"
    for key in ("rewards", "money"):
        np.testing.assert_allclose(
            ours[key], expected[key], rtol=1e-9, err_msg=f"{name}: {key}: {ADVICE}"
        )
    np.testing.assert_array_max_ulp(ours["observations"], expected["observations"], maxulp=1)


@pytest.mark.parametrize("name", CASES)
def test_the_golden_files_are_about_something(name):
    expected = golden(name)
    assert expected["lines"].sum() > 50
    assert (expected["visitors"] < expected["visitors"][0]).any()  # some stay away
    assert len(expected["units"]) == WEEKS
    if "actions" in expected:
        actions, high = expected["actions"], np.tile(np.float32([0.5, 0.6]), 3)
        assert (actions == 0).all(axis=1).any()
        assert (actions == high[: actions.shape[1]]).all(axis=1).any()


def test_another_trajectory_is_noticed():
    """A seed one further on fails every comparison that the golden test makes."""
    expected, (kwargs, seed) = golden("tiny"), CASES["tiny"]
    env = retail_gym.RetailPricingEnv(**kwargs)
    env.reset(seed=seed + 1)
    units = [env.step(action)[4]["units"] for action in expected["actions"]]
    assert not np.array_equal(units, expected["units"])


def write():
    """Make the files anew."""
    for name in CASES:
        actions = None if name == "calibrated" else _actions(name)
        np.savez_compressed(_file(name), **trajectory(name, actions))
        print(f"{_file(name)}: {_file(name).stat().st_size} bytes")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        raise SystemExit("usage: python tests/test_golden.py --write")
    write()
