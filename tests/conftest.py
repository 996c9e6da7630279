"""Fixtures shared by every test: two small stores, the reference equations, the noise's law."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings

import retail_gym

# The same examples on every machine and in every run; nothing timed, nothing kept on disk.
settings.register_profile("retail_gym", derandomize=True, deadline=None, database=None)
settings.load_profile("retail_gym")

DATA = Path(__file__).parent / "data"


class ByteSumLaw(NamedTuple):
    """The exact law of the sum of four independent uniform bytes, values 0..1020."""

    words: np.ndarray  # one word with each byte sum
    mass: np.ndarray  # probability of each value
    cumulative: np.ndarray  # probability of at most each value

    def mean(self, lattice):
        """Mean of a function of the byte sum, given by its 1,021 values."""
        return float(np.sum(self.mass * lattice))

    def variance(self, lattice):
        """Variance of a function of the byte sum."""
        return self.mean((lattice - self.mean(lattice)) ** 2)

    def ks_distance(self, lattice, cdf):
        """Kolmogorov-Smirnov distance of an increasing function of the byte sum from a law."""
        exact = cdf(lattice)
        below = self.cumulative - self.mass
        return float(max(np.abs(exact - self.cumulative).max(), np.abs(exact - below).max()))


@pytest.fixture(scope="session", autouse=True)
def cache_of_worlds(tmp_path_factory):
    """Stores of pools are kept in a folder of the test run, not in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETAIL_GYM_CACHE", str(tmp_path_factory.mktemp("worlds")))
        yield


@pytest.fixture(scope="session")
def byte_sum_law():
    """Exact probabilities of the byte sum, and one word for each of its values."""
    mass = np.ones(1)
    for _ in range(4):
        mass = np.convolve(mass, np.full(256, 1 / 256))
    k = np.arange(1021)
    words = np.zeros(1021, dtype=np.uint32)
    for byte in range(4):
        part = np.clip(k - 255 * byte, 0, 255).astype(np.uint32)
        words |= part << np.uint32(8 * byte)
    return ByteSumLaw(words, mass, np.cumsum(mass))


@pytest.fixture(scope="session")
def tiny_world():
    """5 customers, 3 categories, 9 products."""
    return retail_gym.make_world("tiny", 0)


@pytest.fixture(scope="session")
def small_world():
    """100 customers, 30 categories, 2,500 products."""
    return retail_gym.make_world("small", 0)


@pytest.fixture(scope="session")
def equations():
    """Inputs and outputs of every equation for one store, by name (see ``data/README.md``)."""
    with np.load(DATA / "equations_a.npz") as file:
        arrays = {name: file[name] for name in file.files}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays
