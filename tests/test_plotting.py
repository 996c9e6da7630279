"""Pictures: written whole or not at all, decodable, not blank, and of the data."""

from __future__ import annotations

import os

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

from retail_gym import plotting
from retail_gym.evaluation import best_static
from retail_gym.evaluation.scenarios import Comparison, compare_scenarios
from retail_gym.plotting import plot_elasticities, plot_landscape, plot_scenarios


@pytest.fixture(scope="module")
def comparison():
    return compare_scenarios("tiny", [0, 1], [0, 1], weeks=4)


@pytest.fixture(scope="module")
def tables():
    args = {"depths": (0.0, 0.2, 0.5), "frequencies": (0.3, 0.6), "weeks": 3, "seeds": [0]}
    return {r: best_static("tiny", reward=r, **args).table for r in ("revenue", "retention")}


@pytest.fixture
def demand():
    rng = np.random.default_rng(0)
    return -rng.gamma(2.0, 1.0, (20, 30)), rng.lognormal(-3, 1, 20), -rng.gamma(2.0, 1.0, 20)


@pytest.fixture(params=["scenarios", "elasticities", "landscape"])
def draw(request, comparison, tables, demand):
    """A function that draws one of the pictures to a path."""
    marks = {"revenue": "V", "retention": "II"}
    return {
        "scenarios": lambda path: plot_scenarios(comparison, path),
        "elasticities": lambda path: plot_elasticities(*demand, path),
        "landscape": lambda path: plot_landscape(tables, marks, path),
    }[request.param]


def test_picture_is_a_png_with_something_on_it(draw, tmp_path) -> None:
    path = tmp_path / "new" / "picture.png"
    assert draw(path) == path
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    pixels = imread(path)[..., :3]
    assert min(pixels.shape[:2]) > 300
    ink = (pixels.min(axis=2) < 0.95).mean()
    assert 0.02 < ink < 0.9  # neither blank nor covered
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    assert os.listdir(path.parent) == ["picture.png"]


def test_same_data_same_picture(draw, tmp_path) -> None:
    one, two = draw(tmp_path / "one.png"), draw(tmp_path / "two.png")
    assert np.array_equal(imread(one), imread(two))


def test_nothing_is_left_where_a_file_stands_in_the_way(draw, tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="cannot write"):
        draw(tmp_path / "file" / "picture.png")
    assert os.listdir(tmp_path) == ["file"]


def test_nothing_is_left_and_the_old_picture_stands_when_writing_fails(
    draw, tmp_path, monkeypatch
) -> None:
    path = draw(tmp_path / "picture.png")
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        draw(path)
    assert os.listdir(tmp_path) == ["picture.png"]
    assert path.read_bytes() == before


def test_drawing_that_fails_leaves_nothing(draw, tmp_path, monkeypatch) -> None:
    from matplotlib.figure import Figure

    def broken(*args, **kwargs):
        raise RuntimeError("no fonts")

    monkeypatch.setattr(Figure, "savefig", broken)
    with pytest.raises(RuntimeError):
        draw(tmp_path / "picture.png")
    assert os.listdir(tmp_path) == []


@pytest.fixture
def figure(monkeypatch):
    """The figure last saved."""
    kept = []
    save = plotting.save_figure
    monkeypatch.setattr(
        plotting, "save_figure", lambda fig, path: (kept.append(fig), save(fig, path))[1]
    )
    return kept


def bars(axis):
    """Heights of the bars of each colour, in order."""
    return [[bar.get_height() for bar in group] for group in axis.containers
            if hasattr(group, "patches") and group.patches]  # fmt: skip


def test_scenario_bars_are_the_numbers_of_the_table(comparison, figure, tmp_path) -> None:
    plot_scenarios(comparison, tmp_path / "x.png")
    axes = np.array(figure[0].axes).reshape(2, 5)
    metrics = (
        "realised_discount", "units", "revenue", "categories_per_visiting_customer_week",
        "retention_3w",
    )  # fmt: skip
    for column, metric in enumerate(metrics):
        rows = comparison.table().filter(pl.col("metric") == metric)
        published, ours = bars(axes[0, column])
        assert published == rows["published"].to_list()
        assert ours == pytest.approx(rows["ours"].to_list())
        for s, heights in enumerate(bars(axes[1, column])):
            by_segment = comparison.table(s + 1).filter(pl.col("metric") == metric)
            assert heights == pytest.approx(by_segment["ours"].to_list())


def test_landscape_stars_the_best_and_marks_the_best_of_the_five(tables, figure, tmp_path) -> None:
    plot_landscape(tables, {"revenue": "V", "retention": "II"}, tmp_path / "x.png")
    panels = [axis for axis in figure[0].axes if axis.get_title().startswith("return under")]
    assert [axis.get_title() for axis in panels] == [
        "return under revenue",
        "return under retention",
    ]
    for axis, (reward, mark) in zip(panels, (("revenue", "V"), ("retention", "II")), strict=True):
        grid = tables[reward].filter(pl.col("depth") > 0)
        best = grid.row(int(grid["return"].arg_max()), named=True)
        (star,) = axis.lines
        assert (star.get_xdata()[0], star.get_ydata()[0]) == (best["depth"], best["frequency"])
        bold = [text.get_text() for text in axis.texts if text.get_weight() == "bold"]
        assert bold == [mark]
        mesh = axis.collections[0].get_array()
        assert mesh.shape == (2, 2)  # frequency by depth
        for row in grid.iter_rows(named=True):
            value = mesh[[0.3, 0.6].index(row["frequency"]), [0.2, 0.5].index(row["depth"])]
            assert value == row["return"]


def test_one_reward_is_one_panel(tables, tmp_path) -> None:
    path = plot_landscape({"revenue": tables["revenue"]}, {"revenue": "I"}, tmp_path / "x.png")
    assert imread(path).shape[1] < 700


def test_comparison_without_three_segments_says_what_is_missing(tmp_path) -> None:
    few: Comparison = compare_scenarios("tiny", [0], [0], weeks=2, segments=2)
    with pytest.raises(ValueError, match="segment"):
        plot_scenarios(few, tmp_path / "x.png")
