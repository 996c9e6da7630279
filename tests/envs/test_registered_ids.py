"""Every registered id: both checkers, every way to make it, seeds, specs and its page.

A new id is tested by being registered. ``QUICK`` gives the arguments that make it small.
"""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check

import retail_gym
from retail_gym.registration import STATUSES, TASKS, Task, register_envs

ROOT = Path(retail_gym.__file__).parents[1]
PAGES = ROOT / "docs" / "tasks"
#: Arguments for speed; ids that take others name theirs.
QUICK = {name: {"preset": "tiny", "n_customers": 40, "horizon": 6} for name in TASKS}
QUICK["RetailSynthAdaptive-v0"] = {"burn_in": 1, "horizon": 6}
QUICK["RetailSynthCoupons-v0"] = {"n_customers": 20, "horizon": 6}
QUICK["RetailSynth-CompleteJourney-v0"] = {"n_customers": 12, "horizon": 6}
VECTOR_REWARD = {"mo-retailsynth-v0"}
NATIVE = [name for name in TASKS if TASKS[name].vector_entry_point]

#: The documented warnings. stable-baselines3's: actions have natural units (a depth is a depth).
NATURAL_UNITS = "symmetric and normalized"
#: A row of figures per customer.
TABLE = "unconventional shape"
#: Gymnasium's: checkers want one number, so a vector reward is summed by a wrapper.
WRAPPED = "is different from the unwrapped version"


def make(name, **kwargs):
    return gym.make(name, **(QUICK[name] | kwargs))


def scalar(env):
    """The environment itself, or the sum of its reward vector."""
    if hasattr(env.unwrapped, "reward_space"):
        return gym.wrappers.TransformReward(env, lambda reward: float(np.sum(reward)))
    return env.unwrapped


def warned(function, *args):
    """Messages of the warnings of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(*args)
    theirs = (DeprecationWarning, FutureWarning)
    return [str(w.message) for w in caught if not issubclass(w.category, theirs)]


def assert_only(messages, expected):
    """Exactly the expected warnings, each once."""
    assert len(messages) == len(expected), messages
    for text in expected:
        assert sum(text in message for message in messages) == 1, messages


def documented(env):
    """The warnings of stable-baselines3's checker that an environment's design explains."""
    box = [NATURAL_UNITS] if isinstance(env.action_space, gym.spaces.Box) else []
    return box + ([TABLE] if len(env.observation_space.shape) == 2 else [])


def actions(space, steps, seed=3):
    space.seed(seed)
    return [space.sample() for _ in range(steps)]


def rows(env, given, seed):
    """Everything that an episode returns, from the reset on."""
    return [env.reset(seed=seed), *(env.step(action) for action in given)]


def same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert np.array_equal(a[0], b[0])
        assert np.array_equal(a[1], b[1]) if len(a) > 2 else a[1] == b[1]
        assert a[2:] == b[2:]


@pytest.mark.parametrize("name", TASKS)
def test_gymnasium_checker_warns_of_nothing_but_the_sum_of_a_vector(name):
    expected = [WRAPPED] if name in VECTOR_REWARD else []
    assert_only(warned(gymnasium_check, scalar(make(name))), expected)


@pytest.mark.parametrize("name", TASKS)
def test_stable_baselines_checker_warns_of_natural_units_only(name):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    env = make(name)
    assert_only(warned(checker.check_env, scalar(env)), documented(env))


@pytest.mark.parametrize("name", TASKS)
def test_making_and_playing_warns_of_nothing(name):
    """Gymnasium's passive checker among them, which looks at every first call."""

    def play():
        env = make(name)
        for seed in (0, None):  # an episode, and the next of the same stream
            env.reset(seed=seed)
            for action in actions(env.action_space, env.unwrapped.horizon):
                *_, truncated, _ = env.step(action)
            assert truncated
        env.close()

    assert_only(warned(play), [])


@pytest.mark.parametrize("name", TASKS)
def test_same_seed_same_episode_and_another_seed_another(name):
    env, twin = make(name), make(name)
    given = actions(env.action_space, make(name).unwrapped.horizon)
    first = rows(env, given, 5)
    same(first, rows(twin, given, 5))
    same(first, rows(env, given, 5))
    other = rows(env, given, 6)
    assert any(a[-1] != b[-1] for a, b in zip(first, other, strict=True))


def as_singles(name, envs, n, seed):
    """A vector of n equals the single environments of seeds s, s + 1, ..."""
    steps = make(name).unwrapped.horizon
    given = actions(envs.action_space, steps)
    observation, _ = envs.reset(seed=seed)
    got = [envs.step(action) for action in given]
    for k in range(n):
        single = make(name)
        first, _ = single.reset(seed=seed + k)
        assert np.array_equal(observation[k], first)
        for t in range(steps):
            expected = single.step(given[t][k])
            assert np.array_equal(got[t][0][k], expected[0])
            assert got[t][1][k] == pytest.approx(expected[1], rel=1e-15)
            assert (got[t][2][k], got[t][3][k]) == expected[2:4]
            for key, value in expected[4].items():
                assert got[t][4][key][k] == value
                assert got[t][4][f"_{key}"][k]
    assert got[-1][3].all()
    envs.close()


@pytest.mark.parametrize("name", sorted(set(TASKS) - VECTOR_REWARD))
def test_a_sync_vector_equals_singles(name):
    envs = gym.make_vec(name, num_envs=2, vectorization_mode="sync", **QUICK[name])
    as_singles(name, envs, 2, 40)


@pytest.mark.parametrize(
    "name",
    # Fresh processes are slow to start; one id that has arguments stands for all in a quick run.
    [
        pytest.param(name, marks=[] if name == "RetailSynthSegments-v0" else pytest.mark.slow)
        for name in sorted(set(TASKS) - VECTOR_REWARD)
    ],
)
def test_an_async_vector_of_spawned_workers_equals_singles(name):
    envs = gym.make_vec(
        f"retail_gym:{name}",
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"context": "spawn"},
        **QUICK[name],
    )
    as_singles(name, envs, 2, 7)


@pytest.mark.parametrize("name", NATIVE)
def test_the_native_vector_is_the_default_and_equals_singles(name):
    module, _, attribute = TASKS[name].vector_entry_point.partition(":")
    envs = gym.make_vec(name, num_envs=3, **QUICK[name])
    assert (type(envs).__module__, type(envs).__name__) == (module, attribute)
    as_singles(name, envs, 3, 11)


@pytest.mark.parametrize("name", sorted(set(TASKS) - set(NATIVE)))
def test_without_a_native_vector_gymnasium_and_our_adapter_say_so(name):
    with pytest.raises(gym.error.Error, match="vector entry point"):
        gym.make_vec(name, vectorization_mode="vector_entry_point", **QUICK[name])
    pytest.importorskip("stable_baselines3")
    from retail_gym.envs.sb3 import make_sb3_vec_env

    with pytest.raises(ValueError, match=f"{name} has no native vector environment"):
        make_sb3_vec_env(name)


def test_module_ids_make_every_task_in_a_fresh_process():
    code = (
        "import gymnasium as gym, sys\n"
        "assert 'retail_gym' not in sys.modules\n"
        f"for name, kwargs in {QUICK!r}.items():\n"
        "    env = gym.make(f'retail_gym:{name}', **kwargs)\n"
        "    assert env.observation_space.contains(env.reset(seed=0)[0])\n"
        "    assert env.spec.id == name\n"
        "    print(name)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         cwd=ROOT)  # fmt: skip
    assert run.stdout.split() == list(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_specs_travel_as_pickle_and_as_json(name):
    spec = gym.spec(name)
    assert gym.envs.registration.EnvSpec.from_json(spec.to_json()) == spec
    env = make(name)
    given = actions(env.action_space, 3)
    expected = rows(env, given, 1)
    for copy in (pickle.loads(pickle.dumps(env.spec)),
                 gym.envs.registration.EnvSpec.from_json(env.spec.to_json())):  # fmt: skip
        same(expected, rows(gym.make(copy), given, 1))


@pytest.mark.parametrize("name", TASKS)
def test_the_spec_is_the_task(name):
    spec, task = gym.spec(name), TASKS[name]
    assert (spec.id, task.id) == (name, name)
    assert spec.entry_point == task.entry_point
    assert spec.vector_entry_point == task.vector_entry_point
    assert spec.kwargs == dict(task.kwargs)
    assert spec.max_episode_steps is None  # the environment truncates itself
    assert spec.additional_wrappers == ()  # native vectors allow none
    assert spec.disable_env_checker is not task.passive_checker


def test_registering_again_changes_nothing():
    before = {name: gym.registry[name] for name in TASKS}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register_envs()
    assert all(gym.registry[name] is before[name] for name in TASKS)


def test_a_status_is_one_of_two():
    assert STATUSES == ("headline", "diagnostic")
    with pytest.raises(ValueError, match=r"(?s)status.*headline"):
        Task("X-v0", "x", "headlin")


def test_the_margin_task_pays_the_margin():
    env = make("RetailSynthMargin-v0")
    env.reset(seed=2)
    *_, info = step = env.step(np.float32([0.3, 0.5]))
    assert info["margin"] != 0
    assert step[1] == info["margin"] / env.unwrapped.reward_scale


def test_the_segments_task_has_three_segments_of_the_spread_store():
    env = gym.make("RetailSynthSegments-v0", horizon=1, n_customers=6)
    assert env.unwrapped.world.name == "scenario_spread"
    assert env.action_space.shape == (6,)
    assert env.observation_space.shape == (28,)
    env.reset(seed=0)
    *_, info = step = env.step(env.action_space.high)
    assert step[1] == info["margin"] / env.unwrapped.reward_scale


@pytest.mark.parametrize("name", NATIVE)
def test_the_adapter_to_stable_baselines_makes_the_task_itself(name):
    pytest.importorskip("stable_baselines3")
    from retail_gym.envs.sb3 import make_sb3_vec_env

    env = make_sb3_vec_env(name, n_envs=2, seed=4, rescale=False, monitor=False, **QUICK[name])
    single = make(name)
    single.reset(seed=5)
    env.reset()
    for action in actions(single.action_space, 3):
        _, reward, *_ = single.step(action)
        assert env.step(np.stack([action, action]))[1][1] == np.float32(reward)


def index_rows():
    """``[(id, status, line), ...]`` of the table in the index of task pages."""
    text = (PAGES / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| \[`(.+?)`\]\((.+?)\) \| (\w+) \| (.+?) \|$", text, re.MULTILINE)
    assert all(link == f"{name}.md" for name, link, *_ in found)
    return [(name, status, line) for name, _, status, line in found]


def test_the_index_lists_every_task_as_registered():
    assert index_rows() == [(t.id, t.status, t.summary) for t in TASKS.values()]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_a_page_with_every_part(name):
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {name}\n")
    assert f"**{TASKS[name].status.capitalize()}.**" in page
    heads = re.findall(r"^## (.+)$", page, re.MULTILINE)
    parts = ["Action", "Observation", "Reward", "Why it is hard", "Best known score"]
    assert [head for head in heads if head in parts] == parts


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_at_full_scale(name):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    env = gym.make(name)
    assert_only(warned(gymnasium_check, scalar(env)), [WRAPPED] if name in VECTOR_REWARD else [])
    assert_only(warned(checker.check_env, scalar(env)), documented(env))
    given = actions(env.action_space, env.unwrapped.horizon)
    played = rows(env, given, 0)
    same(played, rows(gym.make(name), given, 0))
    assert [row[3] for row in played[1:]] == [False] * (len(given) - 1) + [True]
    if name in NATIVE:
        envs = gym.make_vec(name, num_envs=2)
        envs.reset(seed=0)
        for action, row in zip(given, played[1:], strict=True):
            step = envs.step(np.stack([action, action]))
            assert np.array_equal(step[0][0], row[0])
            assert step[1][0] == row[1]
        envs.close()
