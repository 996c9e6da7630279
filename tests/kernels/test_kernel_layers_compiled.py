"""The compiled kernel decides in stores with layers as the reference does: everything, everywhere.

Simulators walk side by side through changing prices, two segments priced apart, some weeks with
coupons: the reference, the compiled kernel, and the compiled kernel with a guard band so wide
that nearly everything is taken again in double precision. Fixed seeds; nothing is timed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import retail_gym
from retail_gym.kernels.numba_cpu import NumbaKernel
from retail_gym.kernels.reference import ReferenceKernel
from retail_gym.simulator import Simulator
from retail_gym.world.layers import (
    AssortmentLayer,
    AvailabilityLayer,
    BasketLayer,
    HabitLayer,
    Layers,
    QuantityLayer,
    VisitLayer,
)
from retail_gym.world.priors import Laplace, LogitBeta, Normal, Uniform

FIELDS = ("customer", "category", "product", "quantity")
ALL = Layers(
    visit=VisitLayer(LogitBeta(1.5, 1.0), 0.8, 0.9, 0.3, 0.6),
    basket=BasketLayer(
        0.6, 0.5, 0.7, 0.3, 0.4, 1.5, 3, Laplace(0, 0.6), Normal(0, 0.4), 0.5, 0.3, True
    ),
    assortment=AssortmentLayer(Normal(-0.3, 0.5), 0.6, 0.3),
    quantity=QuantityLayer(0.7, 0.6),
    habit=HabitLayer(0.5, 3),
    availability=AvailabilityLayer(0.7, 2, 6, 9),
)
NAMES = ("visit", "basket", "assortment", "quantity", "habit", "availability")
SIZES = (40, 1, 17, 64, 3, 90, 1, 25)


def store(layers=ALL, seed=0, memory_gib=4.0, **settings):
    base = {
        "category_shift": 3.5, "gamma_store_0": 0.3, "category_sizes": SIZES, "n_customers": 25,
        "clip_percentile": 100.0, "gamma_store_1": 0.0, "theta": 0.0, "layers": layers,
    }  # fmt: skip
    return retail_gym.make_world("tiny", seed, memory_gib=memory_gib, **(base | settings))


def same_week(ours, theirs, at):
    assert np.array_equal(ours.visited, theirs.visited), at
    for name in FIELDS:
        assert np.array_equal(getattr(ours.lines, name), getattr(theirs.lines, name)), (at, name)


def walk(world, weeks, key=2**63 + 77, kernels=None, coupons=True):
    """Walk side by side; returns lines, several products of a category, and the simulators."""
    segments = world.segment_customers(2)
    made = kernels or (ReferenceKernel(), NumbaKernel(), NumbaKernel(guard=1e5))
    walkers = [Simulator(world, key, segments, kernel) for kernel in made]
    generator = np.random.default_rng(key % 1000)
    sold = several = 0
    for week in range(1, weeks + 1):
        off = generator.random((2, world.n_products)) * (generator.random(world.n_products) < 0.4)
        prices = (1.0 - 0.7 * off) * world.base_price
        if week % 7 == 6:
            prices *= 1.3  # dearer than the base price
        coupon = None
        if coupons and week % 5 == 4:
            coupon = np.where(generator.random(world.n_customers) < 0.4, 0.2, 0.0)
        outcomes = [walker.step(prices, coupon) for walker in walkers]
        for outcome in outcomes[1:]:
            same_week(outcome, outcomes[0], week)
        sold += outcomes[0].lines.product.size
        several += outcomes[0].lines.product.size - outcomes[0].categories
        for walker in walkers[1:]:
            assert np.allclose(
                walker.memory.visit_probability, walkers[0].memory.visit_probability, rtol=1e-9
            )
    return sold, several, walkers


def only(*names):
    return Layers(**{name: getattr(ALL, name) for name in names})


STORES = {
    **{name: {"layers": only(name)} for name in NAMES},
    "all": {},
    "another store": {"seed": 5},
    "capped": {"clip_percentile": 90.0},
    "capped low": {"clip_percentile": 5.0, "gamma_cate_1": 1.5},
    "drawn coefficients": {"memory_gib": 0.0},
    "drawn, capped": {"memory_gib": 0.0, "clip_percentile": 80.0},
    "lasting features": {"features": "persistent"},
    "lasting, drawn": {"features": "persistent", "memory_gib": 0.0},
    "visits by store value": {"gamma_store_1": 0.4, "gamma_store_0": -1.0},
    "visits by store value, inertia, capped": {
        "gamma_store_1": 0.4, "theta": Uniform(0.2, 0.6), "clip_percentile": 90.0,
    },
    "inertia": {"theta": Uniform(0.2, 0.9)},
    "random marketing": {"marketing": "noise", "gamma_store_2": 0.5},
    "values that repel": {"gamma_cate_1": Normal(0.0, 0.5)},
    "small baskets": {"category_shift": -2.0},
    "everything is bought": {"category_shift": 30.0, "category_sizes": (30, 1, 12, 2)},
    "nothing is, but something": {"category_shift": -30.0},
    "nothing is": {
        "category_shift": -30.0,
        "layers": replace(ALL, basket=replace(ALL.basket, something=False)),
    },
    "far apart": {
        "layers": replace(ALL, basket=replace(ALL.basket, size_sd=10.0, affinity_sd=5.0)),
    },
    "unequal baskets": {
        "layers": replace(
            ALL, assortment=AssortmentLayer(2.0, 1e-3, 1.0), quantity=QuantityLayer(1e-3, 3.0)
        ),
    },
    "the whole shelf": {
        "layers": replace(ALL, assortment=AssortmentLayer(6.0, 5.0)),
        "category_sizes": (70, 1, 8, 100),
    },
    "steady habits": {"layers": replace(ALL, habit=HabitLayer(1.0, 64))},
    "loud noise": {"eps": {"law": "Gumbel", "loc": -1.0, "scale": 3.0}},
    "one rules": {"beta_x": 0.0, "beta_z": 40.0},
}  # fmt: skip


@pytest.mark.parametrize("case", STORES)
def test_decisions_are_those_of_the_reference(case):
    settings = dict(STORES[case])
    if isinstance(settings.get("eps"), dict):
        from retail_gym.world.priors import Gumbel

        settings["eps"] = Gumbel(settings["eps"]["loc"], settings["eps"]["scale"])
    world = store(**settings)
    sold, several, walkers = walk(world, 25)
    assert (sold > 150) == (case != "nothing is")
    if world.layers.config.assortment is not None and case != "nothing is":
        assert several > 20
    plain = walkers[1].kernel.counts
    if sold and world.gamma_store_1 == 0.0:
        assert plain[3] < 0.2 * plain[2] + 30  # the guard is narrow
    assert np.array_equal(walkers[0].memory.store_value > 0, walkers[1].memory.store_value > 0)
    assert np.allclose(walkers[0].memory.store_value, walkers[1].memory.store_value, rtol=1e-9)
