"""Elasticities by simulation against the closed forms, where there are some."""

from __future__ import annotations

import numpy as np
import pytest

import retail_gym
from retail_gym.evaluation.elasticities import expected_demand
from retail_gym.evaluation.simulated_elasticities import simulated_elasticities
from retail_gym.kernels.base import PlainMemory
from retail_gym.world.store_config import PromotionPlan


@pytest.fixture(scope="module")
def store():
    # No marketing effect on visits; many categories of few products.
    return retail_gym.make_world(
        "tiny", n_customers=1500, category_sizes=(3,) * 8, gamma_store_2=0.0,
        promotion=PromotionPlan.none(),
    )  # fmt: skip


def test_agrees_with_the_closed_form_of_the_papers_store(store):
    found = simulated_elasticities(store, seed=3, first_week=4, weeks=8, draws=8, change=0.15)
    n = store.n_customers
    memory = PlainMemory(np.ones(n, dtype=bool), np.ones(n), np.zeros(n))
    weights, total = 0.0, 0.0
    for week in (4, 7, 10):
        demand = expected_demand(store, store.base_price, memory, seed=3, week=week)
        # Products are drawn by their sales, so sales count twice; the store term is zero.
        units = demand.quantity.sum(axis=0)
        share = units / np.repeat(
            np.add.reduceat(units, store.category_start), store.category_sizes
        )
        own = (demand.quantity * demand.overall).sum(axis=0)
        total += (share * own).sum()
        weights += (share * units).sum()
    assert found.standard_error < 0.06
    assert found.mean == pytest.approx(total / weights, abs=4 * found.standard_error)


def test_no_sensitivity_no_response(store):
    dull = retail_gym.make_world(
        "tiny", n_customers=300, category_sizes=(3,) * 8, gamma_store_2=0.0, c=-1e-9,
        promotion=PromotionPlan.none(),
    )  # fmt: skip
    found = simulated_elasticities(dull, seed=1, first_week=3, weeks=2, draws=2)
    assert found.mean == pytest.approx(0.0, abs=1e-6)  # common luck: the very same purchases
    assert np.abs(found.by_product).max(initial=0.0) < 1e-6


def test_the_more_sensitive_segment_responds_more(store):
    found = simulated_elasticities(store, seed=3, first_week=4, weeks=4, draws=6, segments=2)
    assert found.by_segment[0] < found.by_segment[1] < 0.0
    assert "segments from price-sensitive to not" in found.describe()


def test_arguments_are_checked(store):
    with pytest.raises(ValueError, match="change must be a finite number"):
        simulated_elasticities(store, change=0.0)
    with pytest.raises(ValueError, match="first_week must be at least 2"):
        simulated_elasticities(store, first_week=1)
