"""The study of the layers on a small stand-in for the real data."""

from __future__ import annotations

import json
import sys

import pytest

from experiments import household_layers
from retail_gym.world.presets.complete_journey import config, some_categories


@pytest.fixture
def small(monkeypatch):
    """Four common categories of few products, where prices move often enough for the regression."""
    whole = config()
    few = [j for j, size in enumerate(whole.category_sizes) if 10 <= size <= 40]
    few.sort(key=lambda j: -whole.layers.catalog.appeal.values[j])
    store = some_categories(whole, few[:4]).override(category_shift=1.5)
    monkeypatch.setattr(household_layers, "config", lambda: store)
    return store


def test_each_layer_can_be_left_out(small) -> None:
    for layer in household_layers.LAYERS:
        bare = household_layers.without(small, layer)
        if layer == "quantity":  # its mean stays
            assert bare.layers.quantity.log_rate == small.layers.quantity.log_rate
            assert bare.layers.quantity.customer_sd == 0.0
        else:
            assert getattr(bare.layers, layer) is None
        assert getattr(small.layers, layer) is not None
        assert bare.layers.catalog == small.layers.catalog


def test_the_study_says_what_it_ran(small, monkeypatch, tmp_path, capsys) -> None:
    real = household_layers.simulated_table(small, 9, 60, 30)
    monkeypatch.setattr(household_layers, "load_complete_journey", lambda split: real)
    arguments = ["--customers", "60", "--seeds", "2", "--without", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["study", *arguments])
    household_layers.main()
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "household_layers.json").read_text())
    assert list(found) == ["all layers", *(f"without {name}" for name in household_layers.LAYERS)]
    best = found["all layers"]
    assert f"price coefficient {best['price_coefficient']:.2f}" in printed
    # the stand-in has all layers: what a layer makes is missed without it
    assert found["without assortment"]["ppc"] > best["ppc"] + 0.05
    assert found["without habit"]["repeat"] > best["repeat"] + 0.03
    assert found["without visit"]["visit_cust"] < best["visit_cust"] - 0.05
