"""Random policies: their laws are normalised, and what they do follows them."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from scipy import stats

from retail_gym.envs.discrete import PriceGrid
from retail_gym.policies import HighLow, scenario
from retail_gym.policies.behaviour import EpsilonGreedy, Gaussian, OnGrid, Softmax, Uniform
from retail_gym.policies.laws import Categorical, Mixture, TruncatedNormal, UniformBox

BOX = spaces.Box(np.zeros(2, np.float32), np.array([0.5, 0.6], np.float32))
TWO = spaces.Box(np.zeros(4, np.float32), np.array([0.5, 0.6, 0.5, 0.6], np.float32))
ARMS = spaces.MultiDiscrete([11] * 4)
NOTHING = np.zeros(10, np.float32)

CONTINUOUS = {
    "uniform": UniformBox(BOX.low, BOX.high),
    "inside": TruncatedNormal(np.array([0.2, 0.3]), np.array([0.1, 0.2]), BOX.low, BOX.high),
    "at an edge": TruncatedNormal(np.array([0.5, 0.0]), np.array([0.05, 1.0]), BOX.low, BOX.high),
}
CONTINUOUS["mixture"] = Mixture(CONTINUOUS["inside"], CONTINUOUS["uniform"], 0.3)


def midpoints(n=400):
    """Centres of n x n cells of the box, and the area of a cell."""
    d, f = ((np.arange(n) + 0.5) * side / n for side in (0.5, 0.6))
    return np.stack(np.meshgrid(d, f, indexing="ij"), axis=-1).reshape(-1, 2), 0.3 / n**2


@pytest.mark.parametrize("name", CONTINUOUS)
def test_densities_integrate_to_one_over_the_box(name):
    points, area = midpoints()
    assert CONTINUOUS[name].propensity(points).sum() * area == pytest.approx(1.0, abs=2e-4)
    assert CONTINUOUS[name].propensity(np.array([0.51, 0.3])) == 0.0
    assert CONTINUOUS[name].propensity(np.array([0.2, -0.01])) == 0.0


@pytest.mark.parametrize("name", CONTINUOUS)
def test_draws_follow_their_density(name):
    # Depth and frequency by Kolmogorov-Smirnov, 4,000 draws: alpha = 1e-6 each of 8 comparisons.
    law, generator = CONTINUOUS[name], np.random.default_rng(0)
    draws = np.stack([law.sample(generator) for _ in range(4_000)])
    assert draws.dtype == np.float32
    assert ((draws >= BOX.low) & (draws <= BOX.high)).all()
    points, area = midpoints()
    density = law.propensity(points).reshape(400, 400) * area
    for axis, side in ((0, 0.5), (1, 0.6)):
        cdf = np.concatenate([[0.0], density.sum(axis=1 - axis).cumsum()])
        at = np.linspace(0.0, side, 401)
        found = stats.kstest(draws[:, axis], lambda x, at=at, cdf=cdf: np.interp(x, at, cdf))
        assert found.pvalue > 1e-6, (name, axis)
    several, weights = law.support(500, np.random.default_rng(1))
    assert several.shape == (500, 2)
    assert weights.sum() == pytest.approx(1.0)


def test_truncated_density_is_scipys():
    law = CONTINUOUS["at an edge"]
    x = np.array([0.43, 0.17])
    depth = stats.truncnorm(-10.0, 0.0, 0.5, 0.05).pdf(x[0])
    frequency = stats.truncnorm(0.0, 0.6, 0.0, 1.0).pdf(x[1])
    assert law.propensity(x) == pytest.approx(depth * frequency, rel=1e-6)


def test_categorical_draws_follow_their_probabilities():
    p = np.array([[0.5, 0.0, 0.3, 0.2], [0.0, 0.0, 0.0, 1.0]])
    law, generator = Categorical(p), np.random.default_rng(0)
    draws = np.stack([law.sample(generator) for _ in range(5_000)])
    assert (draws[:, 1] == 3).all()
    counts = np.bincount(draws[:, 0], minlength=4)
    assert counts[1] == 0
    # Chi-square with 2 degrees of freedom, alpha = 1e-6.
    assert stats.chisquare(counts[[0, 2, 3]], 5_000 * p[0, [0, 2, 3]]).pvalue > 1e-6
    np.testing.assert_array_equal(law.propensity([2, 3]), [0.3, 1.0])
    actions, weights = law.support(7, generator)
    np.testing.assert_array_equal(actions, [[0, 0], [1, 1], [2, 2], [3, 3]])
    np.testing.assert_array_equal(weights, p.T)


def test_probabilities_must_be_some():
    for wrong in ([0.5, 0.4], [1.2, -0.2], [np.nan, 1.0], 1.0):
        with pytest.raises(ValueError, match="must sum to 1"):
            Categorical(np.array(wrong))


def test_uniform_knows_every_space():
    assert Uniform(BOX).propensity(NOTHING, [0.1, 0.1], 1) == pytest.approx(1 / 0.3)
    assert Uniform(TWO).propensity(NOTHING, [0.1] * 4, 1) == pytest.approx(1 / 0.09)
    assert Uniform(spaces.Discrete(31)).propensity(NOTHING, 5, 1) == pytest.approx(1 / 31)
    np.testing.assert_allclose(Uniform(ARMS).propensity(NOTHING, [0, 3, 10, 1], 1), 1 / 11)


def test_epsilon_greedy_by_hand():
    behaviour = EpsilonGreedy(lambda o, week: np.array([3, 3, 0, 10]), ARMS, 0.22)
    p = behaviour.propensity(NOTHING, [3, 4, 0, 0], 1)
    np.testing.assert_allclose(p, [0.8, 0.02, 0.8, 0.02])
    chosen = behaviour.decide(NOTHING, 1)
    np.testing.assert_allclose(chosen.probabilities.sum(axis=1), 1.0)
    np.testing.assert_array_equal(
        chosen.propensity, np.take_along_axis(chosen.probabilities, chosen.action[:, None], 1)[:, 0]
    )
    assert EpsilonGreedy(lambda o, week: 2, spaces.Discrete(5), 0.0)(NOTHING, 1) == 2


def test_softmax_by_hand():
    behaviour = Softmax(lambda o, week: [0.0, np.log(2.0), 1e4 * (week > 1)], spaces.Discrete(3), 1)
    np.testing.assert_allclose(behaviour.law(NOTHING, 1).probabilities, [0.25, 0.5, 0.25])
    np.testing.assert_allclose(behaviour.law(NOTHING, 2).probabilities, [0.0, 0.0, 1.0])


def test_a_policy_on_the_grid_is_its_nearest_pair():
    grid = PriceGrid()
    assert OnGrid(HighLow(0.24, 0.41), grid)(NOTHING, 1) == np.flatnonzero(
        (grid.pairs == np.float32([0.25, 0.4])).all(axis=1)
    )
    assert OnGrid(HighLow(0.5, 0.0), grid)(NOTHING, 1) == 0  # no discount is one action
    two = OnGrid(lambda o, week: np.array([0.05, 0.2, 0.5, 0.6]), PriceGrid(segments=2))
    np.testing.assert_array_equal(two(NOTHING, 1), [1, 30])
    one_for_both = OnGrid(scenario("III"), PriceGrid(segments=2))
    np.testing.assert_array_equal(one_for_both(NOTHING, 1), [15, 15])
    near = Softmax.around(OnGrid(scenario("III"), grid), grid.space, 0.02)
    p = near.law(NOTHING, 1).probabilities
    assert p.argmax() == 15
    assert p[15] / p[12] == pytest.approx(np.exp(0.1**2 / 0.02))  # a tenth of the depth's side


def test_a_gaussian_is_around_its_policy_for_every_segment():
    behaviour = Gaussian(HighLow(0.2, 0.3), TWO, (0.01, 0.02), 0.25)
    behaviour.reset(0)
    draws = np.stack([behaviour(NOTHING, 1) for _ in range(2_000)])
    near = (np.abs(draws - [0.2, 0.3, 0.2, 0.3]) < [0.05, 0.1, 0.05, 0.1]).all(axis=1)
    # 0.75 and the odd uniform one; four standard errors.
    assert abs(near.mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / 2_000) + 0.02


def test_episodes_start_the_stream_of_their_seed():
    class Counting:
        def __init__(self):
            self.seeds = []

        def reset(self, seed):
            self.seeds.append(seed)

        def __call__(self, observation, week):
            return np.array([0.2, 0.3])

    inner = Counting()
    behaviour = Gaussian(inner, BOX, (0.05, 0.05))
    runs = []
    for seed in (4, 4, 5):
        behaviour.reset(seed)
        runs.append([behaviour(NOTHING, week).tolist() for week in (1, 2)])
    assert runs[0] == runs[1] != runs[2]
    assert inner.seeds == [4, 4, 5]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="does not number the same actions"):
        EpsilonGreedy(lambda o, week: 0, BOX, 0.1)
    with pytest.raises(ValueError, match="no box of depths"):
        Gaussian(HighLow(0.1, 0.1), ARMS, (0.1, 0.1))
    with pytest.raises(ValueError, match="sd must be a finite number"):
        Gaussian(HighLow(0.1, 0.1), BOX, (0.0, 0.1))
    with pytest.raises(ValueError, match="sd needs two numbers"):
        Gaussian(HighLow(0.1, 0.1), BOX, (0.1,))
    with pytest.raises(ValueError, match=r"epsilon must be a finite number in \[0, 1\]"):
        EpsilonGreedy(lambda o, week: 0, ARMS, 1.5)
    with pytest.raises(ValueError, match="temperature must be a finite number"):
        Softmax(lambda o, week: np.zeros(3), spaces.Discrete(3), 0.0)
    with pytest.raises(ValueError, match="must choose whole numbers"):
        EpsilonGreedy(HighLow(0.1, 0.1), spaces.Discrete(31), 0.1).decide(NOTHING, 1)
    with pytest.raises(ValueError, match=r"finite and of shape \(3,\)"):
        Softmax(lambda o, week: [0.0, np.nan, 0.0], spaces.Discrete(3), 1.0).decide(NOTHING, 1)
    with pytest.raises(ValueError, match="joint=False"):
        OnGrid(
            HighLow(0.1, 0.1),
            PriceGrid(segments=2, depths=(0.1,), frequencies=(0.2,), joint=True),
        )
