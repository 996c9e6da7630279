"""Numbers of a store by path, and levels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retail_gym.calibration.levels import LEVELS, match_levels
from retail_gym.calibration.settings import get, present, put
from retail_gym.calibration.target import Summary
from retail_gym.evaluation.realism import Empirical
from retail_gym.world.layers import DispersionLayer
from retail_gym.world.priors import Listed, LogNormal
from retail_gym.world.store_config import PromotionPlan

REPEAT = "layers.habit.repeat"


def test_numbers_of_layers_laws_and_lists(planted):
    assert get(planted, "layers.visit.intercept.a") == 1.5
    assert get(planted, "layers.basket.affinity_sd") == 0.6  # a constant is a number
    assert get(planted, "promotion.a01.mean") == 0.25
    new = put(planted, {"layers.visit.intercept.a": 2.0, "promotion.a01.mean": 0.5, "c": -3.0})
    assert new.layers.visit.intercept.a == 2.0
    assert (new.promotion.a01.a, new.promotion.a01.b) == (4.0, 4.0)  # a + b stays
    assert new.c == -3.0
    assert new.promotion.a11 == planted.promotion.a11


def test_a_list_moves_as_a_whole(planted):
    layers = planted.layers
    catalog = replace(layers.catalog, appeal=Listed((0.0, 1.0, 2.0, 0.0, 0.0, 1.0, 0.0, 0.0)))
    store = planted.override(layers=replace(layers, catalog=catalog))
    assert get(store, "layers.catalog.appeal") == 0.5
    moved = put(store, {"layers.catalog.appeal": -0.5})
    assert moved.layers.catalog.appeal.values == (-1.0, 0.0, 1.0, -1.0, -1.0, 0.0, -1.0, -1.0)


def test_standard_deviations_move_by_a_factor(planted):
    basket = replace(planted.layers.basket, affinity_sd=Listed((0.1, 1.0, 1.9) + (1.0,) * 5))
    store = planted.override(layers=replace(planted.layers, basket=basket))
    moved = put(store, {"layers.basket.affinity_sd": 0.5})
    np.testing.assert_allclose(
        moved.layers.basket.affinity_sd.values, [0.05, 0.5, 0.95] + [0.5] * 5
    )


def test_what_a_store_lacks_is_not_present(planted):
    assert present(planted, "promotion.a01.mean")
    assert not present(planted.override(promotion=PromotionPlan.none()), "promotion.a01.mean")
    assert not present(planted.override(layers=replace(planted.layers, habit=None)), REPEAT)
    with pytest.raises(ValueError, match="nothing called repeats"):
        present(planted, REPEAT + "s")
    lacking = [level.path for level in LEVELS["store"] if not present(planted, level.path)]
    assert lacking == ["layers.dispersion.sd.mu"]


def test_a_wrong_path_is_named(planted):
    with pytest.raises(
        ValueError, match=r"no number at layers\.visit\.drift: nothing called drift"
    ):
        put(planted, {"layers.visit.drift": 1.0})
    with pytest.raises(ValueError, match=r"layers\.visit is no number"):
        get(planted, "layers.visit")


def summary(**figures):
    return Summary({"qty": Empirical.of([1, 2, 2])}, figures)


def test_levels_find_the_numbers_behind_their_figures(planted):
    # Figures that follow the numbers as in a store, up to slopes the levels do not know.
    def measure(store):
        rate = 0.8 * np.exp(get(store, "layers.assortment.log_rate.mean"))
        share = 1.3 * get(store, "promotion.a01.mean")
        vary = 2.0 * np.exp(get(store, "layers.dispersion.sd.mu"))
        return Summary(
            {"qty": Empirical.of([1, 2, 2])},
            {
                "repeat": 0.9 * get(store, "layers.habit.repeat") - 0.05,
                "ppc": 1.0 + rate,
                "discounted_share": share,
                "discount_depth": 1.1 * get(store, "promotion.depth.mean"),
                "price_q50": 0.6 * get(store, "c"),
                "price_coefficient": 0.6 * get(store, "c") * (1.0 - vary),
            },
        )

    wanted = {
        "layers.habit.repeat": 0.7, "layers.assortment.log_rate.mean": -1.1,
        "promotion.a01.mean": 0.35, "promotion.depth.mean": 0.3, "c": -1.2,
        "layers.dispersion.sd.mu": -1.6,
    }  # fmt: skip
    dispersion = DispersionLayer(LogNormal(-2.5, 0.7))
    planted = planted.override(layers=replace(planted.layers, dispersion=dispersion))
    levels = tuple(
        level if level.path != "layers.assortment.log_rate" else replace(level, path=f"{level.path}.mean")
        for level in LEVELS["store"] if "quantity" not in level.path and "seasonal" not in level.path
    )  # fmt: skip
    real = measure(put(planted, wanted))
    found, losses = match_levels(levels, planted, real, measure, 12, lambda loss: None)
    assert losses[0] > 0.3
    assert min(losses) < 0.05
    for path, value in wanted.items():
        assert get(found, path) == pytest.approx(value, rel=0.02), path


def test_without_discounts_nothing_is_learnt_about_price_sensitivity(planted):
    store = planted.override(promotion=PromotionPlan.none())
    chosen = tuple(level for level in LEVELS["store"] if level.path in ("c", REPEAT))
    real = summary(price_q50=-1.4, price_coefficient=-1.1, repeat=0.7)
    now = summary(price_q50=-0.7, price_coefficient=-0.5, repeat=0.7)
    found, losses = match_levels(chosen, store, real, lambda _: now, 3, lambda loss: None)
    assert found.c == store.c
    assert losses == (0.0, 0.0, 0.0)  # repeat is met, and c counts for nothing
    # Nor where the table has no figure.
    lack = summary(price_q50=float("nan"), price_coefficient=float("nan"), repeat=0.7)
    found, losses = match_levels(chosen, planted, lack, lambda _: now, 3, lambda loss: None)
    assert (found.c, losses) == (planted.c, (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("real", "now", "factors"),
    [(-1.4, -0.7, (2.0,)), (-0.7, -1.4, (0.5,)), (0.2, -1.5, (0.5,)), (-1.5, 0.05, (2.0,)), (0.2, 0.1, ())],
)  # fmt: skip
def test_price_sensitivity_moves_as_the_signs_say(planted, real, now, factors):
    chosen = tuple(level for level in LEVELS["store"] if level.path == "c")
    tried = []

    def measure(store):
        tried.append(store.c)
        return summary(price_q50=now)

    match_levels(chosen, planted, summary(price_q50=real), measure, 2, lambda loss: None)
    expected = planted.c * np.prod(factors)
    assert tried == pytest.approx([planted.c, expected])


def test_a_round_without_its_figure_is_not_the_best(planted):
    chosen = tuple(level for level in LEVELS["store"] if level.path == "layers.dispersion.sd.mu")
    store = planted.override(
        layers=replace(planted.layers, dispersion=DispersionLayer(LogNormal(-2.5, 0.7)))
    )
    real = summary(price_q50=-1.4, price_coefficient=-1.1)
    for worse in (float("nan"), 0.05):
        rounds = iter([(-1.4, -1.0), (worse, -1.0), (-1.4, -1.05)])
        sides = (summary(price_q50=a, price_coefficient=b) for a, b in rounds)
        _, losses = match_levels(chosen, store, real, lambda _, s=sides: next(s), 3, lambda x: None)
        assert losses[2] < losses[0] < losses[1]


def test_a_number_at_its_bound_still_counts(planted):
    chosen = tuple(level for level in LEVELS["baskets"] if level.path.endswith("trip_sd"))
    store = put(planted, {"layers.basket.trip_sd": 1.5})
    losses = match_levels(
        chosen, store, summary(sd_w=3.0), lambda _: summary(sd_w=1.0), 2, lambda loss: None
    )[1]
    assert min(losses) == pytest.approx(np.log(2.0))


def test_prices_that_are_alike_make_the_spread_smaller(planted):
    chosen = tuple(level for level in LEVELS["prices"] if level.path.endswith("product_sd"))
    alike, unlike = (Summary({"price": Empirical.of(v)}, {}) for v in ([2.0] * 9, [1.0, 2.0, 4.0]))
    step = chosen[0].step(alike, unlike)
    assert step == pytest.approx(-np.log(2.0))
    assert chosen[0].moved(0.5, step) == pytest.approx(0.25)
