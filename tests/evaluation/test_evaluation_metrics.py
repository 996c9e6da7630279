"""The figures of a run, recomputed from its records by the definitions of architecture.md."""

from __future__ import annotations

import numpy as np
import pytest

from retail_gym import RetailPricingEnv, make_world, simulate
from retail_gym.evaluation import METRICS, RunMetrics
from retail_gym.evaluation.rollout import play
from retail_gym.kernels import Purchases
from retail_gym.outcome import WeekOutcome
from retail_gym.policies import Cyclic, Targeted
from retail_gym.world.layers import AssortmentLayer, Layers

WEEKS = 9
ADDITIVE = ("units", "revenue", "margin", "discount_spend")


def literal(world, lines, visited_wu, shelf_wsi, customers):
    """Every definition word by word, with loops over purchase lines.

    lines: dicts of week, customer, category, product, quantity, unit_price.
    """
    customers = {int(u) for u in customers}
    weeks = len(visited_wu)
    lines = [line for line in lines if line["customer"] in customers]
    base = [float(world.base_price[line["product"]]) for line in lines]
    n = len(customers)

    def bought_since(week):
        return len({line["customer"] for line in lines if line["week"] > week})

    per_buyer = []
    for week in range(1, weeks + 1):
        of_week = [line for line in lines if line["week"] == week]
        pairs = {(line["customer"], line["category"]) for line in of_week}
        if of_week:
            per_buyer.append(len(pairs) / len({line["customer"] for line in of_week}))
    off = [1 - line["unit_price"] / b for line, b in zip(lines, base, strict=True)]
    money = [(line["quantity"], line["unit_price"], b) for line, b in zip(lines, base, strict=True)]
    return {
        "units": sum(q for q, _, _ in money),
        "revenue": sum(q * p for q, p, _ in money),
        "margin": sum(q * (p - 0.70 * b) for q, p, b in money),
        "discount_spend": sum(q * (b - p) for q, p, b in money),
        "realised_discount": sum(off) / len(off) if off else 0.0,
        "effective_discount": float(np.mean(shelf_wsi)),
        "categories_per_customer_week": len(
            {(line["week"], line["customer"], line["category"]) for line in lines}
        )
        / (n * weeks),
        "categories_per_visiting_customer_week": float(np.mean(per_buyer)) if per_buyer else 0.0,
        "visit_rate": sum(visited_wu[w][u] for w in range(weeks) for u in customers) / (n * weeks),
        "retention": bought_since(weeks - 4) / n,
        "retention_3w": bought_since(weeks - 3) / n,
    }


def records(env, policy, seed):
    outcomes = [outcome for outcome, _ in play(env, policy, seed)]
    lines = [row for outcome in outcomes for row in outcome.transactions().to_dicts()]
    visited = [outcome.visited.tolist() for outcome in outcomes]
    return outcomes, lines, visited, np.array([outcome.discount_si for outcome in outcomes])


@pytest.fixture(scope="module", params=["paper", "several products a category"])
def store(request, small_world):
    if request.param == "paper":
        return small_world
    layers = Layers(assortment=AssortmentLayer(0.0, 0.5))
    return make_world("tiny", 3, n_customers=30, layers=layers)


@pytest.fixture(scope="module")
def segmented(store):
    """Records of a small store whose three segments are priced apart, depth changing weekly."""
    env = RetailPricingEnv(store, horizon=WEEKS, segments=3)
    return env, records(env, Targeted([(0.4, 0.6), (0.25, 0.3), (0.0, 0.0)]), seed=3)


def test_every_figure_of_everybody_equals_its_definition(store, segmented) -> None:
    _, (outcomes, lines, visited, shelf) = segmented
    metrics = RunMetrics(store.n_customers)
    for outcome in outcomes:
        metrics.add(outcome)
    expected = literal(store, lines, visited, shelf, range(store.n_customers))
    assert tuple(metrics.total()) == METRICS == tuple(expected)
    assert metrics.total() == pytest.approx(expected, rel=1e-12)
    assert 0 < expected["retention_3w"] < 1  # the figures discriminate
    assert 0 < expected["visit_rate"] < 1
    assert 0 < expected["realised_discount"] != expected["effective_discount"]


def test_every_figure_of_each_segment_equals_its_definition(store, segmented) -> None:
    env, (outcomes, lines, visited, shelf) = segmented
    group_u = np.empty(store.n_customers, dtype=np.int64)
    for s, customers in enumerate(env.segments):
        group_u[customers] = s
    metrics = RunMetrics(group_u=group_u)
    for outcome in outcomes:
        metrics.add(outcome)
    groups = metrics.groups()
    assert len(groups) == 3
    for s, customers in enumerate(env.segments):
        # The shelf that this segment saw: each is priced apart.
        expected = literal(store, lines, visited, shelf[:, s], customers)
        assert groups[s] == pytest.approx(expected, rel=1e-12), f"segment {s}"
    assert len({figures["units"] for figures in groups}) == 3


def test_simulate_reports_segments_sorted_by_price_sensitivity(small_world) -> None:
    run = simulate(
        small_world,
        Cyclic([(0.4, 0.6), (0.1, 0.3)]),
        weeks=5,
        seed=1,
        record=True,
        segments_reported=3,
    )
    env = RetailPricingEnv(small_world, horizon=5)
    _, _, visited, shelf = records(env, Cyclic([(0.4, 0.6), (0.1, 0.3)]), 1)
    mean_beta_w = np.mean(
        small_world.c * small_world.beta_u[:, None] * small_world.beta_i[None, :], axis=1
    )
    assert (mean_beta_w < 0).all()  # so the most sensitive have the lowest
    for s, customers in enumerate(np.array_split(np.argsort(mean_beta_w), 3)):
        expected = literal(small_world, run.transactions.to_dicts(), visited, shelf, customers)
        assert run.segments[s] == pytest.approx(expected, rel=1e-12), f"segment {s}"


@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_segments_add_up_to_everybody(tiny_world, segments: int) -> None:
    run = simulate(tiny_world, Cyclic([(0.4, 0.6), (0.1, 0.3)]), 20, 2, segments_reported=segments)
    assert len(run.segments) == segments
    for name in ADDITIVE:
        assert sum(s[name] for s in run.segments) == pytest.approx(run.metrics[name], rel=1e-12)
    sizes = [c.size for c in tiny_world.segment_customers(segments)]
    for name in ("visit_rate", "categories_per_customer_week", "retention", "retention_3w"):
        mean = np.average([s[name] for s in run.segments], weights=sizes)
        assert mean == pytest.approx(run.metrics[name], rel=1e-12), name


# Four customers, three products in two categories, made by hand.
BASE = np.array([10.0, 4.0, 5.0])


def week(number, lines, visited, last_purchase, discount=(0.0, 0.0, 0.0)):
    """lines: (customer, category, product, quantity, price paid)."""
    customer, category, product, quantity = (
        np.array([line[k] for line in lines], dtype=np.int64) for k in range(4)
    )
    return WeekOutcome(
        week=number,
        lines=Purchases(customer, category, product, quantity),
        unit_price=np.array([line[4] for line in lines], dtype=np.float64),
        base_price=BASE[product],
        visited=np.array(visited, dtype=bool),
        last_purchase=np.array(last_purchase),
        segment_of_customer=np.zeros(4, dtype=np.int64),
        discounts=np.array([discount]),
        coupon=np.zeros(4),
    )


def by_hand():
    return [
        week(1, [(0, 0, 0, 2, 8.0), (0, 1, 2, 1, 5.0), (1, 0, 1, 3, 3.0)], [1, 1, 1, 1],
             [1, 1, 0, 0], (0.2, 0.25, 0.0)),
        week(2, [], [0, 0, 1, 0], [1, 1, 0, 0]),  # a visitor, no buyer
        week(3, [(2, 1, 2, 1, 2.5)], [0, 1, 1, 0], [1, 1, 3, 0], (0.0, 0.0, 0.5)),
        week(4, [], [0, 0, 0, 0], [1, 1, 3, 0]),  # nobody came
    ]  # fmt: skip


def test_hand_made_run_with_weeks_without_buyers() -> None:
    metrics = RunMetrics(4)
    for outcome in by_hand():
        metrics.add(outcome)
    # Lines: 2 x 8 (base 10), 1 x 5 (base 5), 3 x 3 (base 4), 1 x 2.5 (base 5).
    assert metrics.total() == pytest.approx(
        {
            "units": 7,
            "revenue": 16 + 5 + 9 + 2.5,
            "margin": 2 * 1 + 1 * 1.5 + 3 * 0.2 - 1 * 1,
            "discount_spend": 2 * 2 + 0 + 3 * 1 + 2.5,
            "realised_discount": (0.2 + 0.0 + 0.25 + 0.5) / 4,  # over lines, not units
            "effective_discount": (0.45 / 3 + 0.5 / 3) / 4,  # the quiet weeks count
            "categories_per_customer_week": 4 / 16,
            "categories_per_visiting_customer_week": (3 / 2 + 1 / 1) / 2,  # weeks with buyers
            "visit_rate": (4 + 1 + 2 + 0) / 16,
            "retention": 3 / 4,  # weeks 1-4
            "retention_3w": 1 / 4,  # weeks 2-4
        },
        rel=1e-12,
    )


def test_group_that_never_buys_has_zeros() -> None:
    metrics = RunMetrics(group_u=np.array([0, 0, 0, 1]))
    for outcome in by_hand():
        metrics.add(outcome)
    buyers, quiet = metrics.groups()
    assert quiet == pytest.approx(
        dict.fromkeys(METRICS, 0.0) | {"effective_discount": (0.45 + 0.5) / 12, "visit_rate": 1 / 4}
    )
    assert buyers["units"] == 7
    assert buyers["retention"] == 1.0


def test_group_penetration_counts_its_own_weeks_with_buyers() -> None:
    metrics = RunMetrics(group_u=np.array([0, 1, 1, 1]))
    for outcome in by_hand():
        metrics.add(outcome)
    first, second = metrics.groups()
    assert first["categories_per_visiting_customer_week"] == 2.0  # week 1 only
    assert second["categories_per_visiting_customer_week"] == 1.0  # weeks 1 and 3


@pytest.mark.parametrize(("weeks", "expected"), [(1, 0.5), (2, 0.5), (3, 0.75)])
def test_retention_of_a_short_run_looks_at_the_weeks_there_are(weeks: int, expected) -> None:
    metrics = RunMetrics(4)
    for outcome in by_hand()[:weeks]:
        metrics.add(outcome)
    assert metrics.total()["retention"] == expected
    assert metrics.total()["retention_3w"] == expected


def test_run_without_any_purchase_has_finite_figures(tiny_world) -> None:
    run = simulate("tiny", lambda o, w: [0.25, 0.6], 4, category_shift=-60.0, segments_reported=2)
    for figures in (run.metrics, *run.segments):
        assert np.isfinite(list(figures.values())).all()
        assert figures["units"] == figures["realised_discount"] == figures["retention"] == 0.0
        assert figures["categories_per_visiting_customer_week"] == 0.0
        assert figures["effective_discount"] > 0.0


def test_no_week_is_an_error() -> None:
    with pytest.raises(ValueError, match="no week"):
        RunMetrics(4).groups()
