"""The leaderboard on a made-up board: results, resuming, tables from the raw results."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import gymnasium as gym
import numpy as np
import polars as pl
import pytest

from experiments.leaderboard import __main__ as command
from experiments.leaderboard import board, cells, table
from experiments.leaderboard.board import Entry
from experiments.leaderboard.cells import EPISODES, Cell, cells_of, merge
from experiments.leaderboard.learners import Learner, PlainLearner
from experiments.leaderboard.tasks import (
    INFORMED,
    LEARNER,
    REFERENCE,
    YARDSTICK,
    CouponTask,
    PoolTask,
    StoreTask,
)
from retail_gym import evaluate
from retail_gym.evaluation import best_static, normalised_score, references
from retail_gym.evaluation.references import ReferenceTask, Seeds, reference_scores
from retail_gym.evaluation.response import measure_response
from retail_gym.policies import scenario

ROOT = Path(__file__).parents[2]
TINY = StoreTask(
    "RetailSynthMargin-v0",
    ReferenceTask("made-up", "tiny", {"reward": "margin"}, weeks=5),
    {"preset": "tiny"},
    weeks=5,
    seeds=Seeds(search=1, choice=2, test=6),
    label="made-up",
)
PAGE = "# Board\n\n<!-- leaderboard:made-up -->\nold\n<!-- /leaderboard -->\n\nrest\n"
TIMES = ["wall_seconds", "cpu_seconds"]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """The references of the made-up task, with a response of few actions: it takes seconds."""
    actions = [(d, f) for d in (0.1, 0.25, 0.5) for f in (0.3, 0.6)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            references,
            "measure_response",
            lambda world: measure_response(world, actions, draws=1, degree=None),
        )
        grid = {"depths": (0.0, 0.2, 0.4), "frequencies": (0.3, 0.6)}
        patch.setattr(references, "best_static", partial(best_static, **grid))
        return TINY.references(tmp_path_factory.mktemp("references"))


@pytest.fixture
def tiny_board(monkeypatch, found):
    """A board of one task and one learner that runs in NumPy."""
    pytest.importorskip("cmaes")
    monkeypatch.setattr(StoreTask, "references", lambda self, folder: found)
    monkeypatch.setattr(board, "FULL", (Entry(TINY, (Learner("cma", 2, 300),)),))


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """The command in a folder of its own; what it printed."""

    def run(*arguments, home="here"):
        root = tmp_path / home
        (root / "docs").mkdir(parents=True, exist_ok=True)
        if not (root / "docs/leaderboard.md").exists():
            (root / "docs/leaderboard.md").write_text(PAGE)
        folders = ("--out", root / "out", "--data", root / "data", "--root", root)
        monkeypatch.setattr(sys, "argv", ["leaderboard", *map(str, (*arguments, *folders))])
        command.main()
        return capsys.readouterr().out

    return run


def episodes(root: Path) -> pl.DataFrame:
    return pl.read_parquet(root / "data/leaderboard.parquet")


@pytest.mark.usefixtures("tiny_board")
def test_a_board_from_nothing_to_its_page(call, tmp_path) -> None:
    out = call()
    root = tmp_path / "here"
    assert "3 of 3 pieces to do" in out
    rows = episodes(root)
    assert rows.schema == EPISODES
    learned = rows.filter(pl.col("agent") == "cma")
    assert learned.select("training_seed", "seed").rows() == [
        (k, s) for k in (0, 1) for s in range(6)
    ]
    assert learned["steps"].unique().to_list() == [300]
    assert learned.filter(pl.col("cpu_seconds") > 0).height == 12
    # References and learners meet the very episodes of retail_gym.evaluate.
    again = evaluate("tiny", {"III": scenario("III")}, 5, range(6), reward="margin")
    mine = rows.filter(pl.col("agent") == "III").sort("seed")
    assert mine["return"].to_list() == again["return"].to_list()
    curve = pl.read_parquet(root / "data/learning_curves.parquet")
    assert set(curve["training_seed"]) == {0, 1}
    page = (root / "docs/leaderboard.md").read_text()
    assert page.startswith("# Board\n\n<!-- leaderboard:made-up -->\n6 episodes")
    assert page.endswith("<!-- /leaderboard -->\n\nrest\n")
    mean = again["return"].mean()
    (line,) = (row for row in page.splitlines() if row.startswith("| III |"))
    assert f" {mean:.3f} [" in line
    assert {path.name for path in (root / "experiments/figures").iterdir()} == {
        "leaderboard.png",
        "learning_curves.png",
    }
    # From the raw results alone the same page and nothing trained.
    (root / "docs/leaderboard.md").write_text(PAGE)
    for path in (root / "out").rglob("done.json"):
        path.unlink()
    assert "pieces to do" not in call("--redraw")
    assert (root / "docs/leaderboard.md").read_text() == page


@pytest.mark.usefixtures("tiny_board")
def test_a_killed_board_goes_on_to_the_same_results(call, tmp_path, monkeypatch) -> None:
    call(home="unbroken")
    score, scored = StoreTask.score, []

    def killed(self, policy):
        scored.append(policy)
        if len(scored) == 2:
            raise KeyboardInterrupt
        return score(self, policy)

    monkeypatch.setattr(StoreTask, "score", killed)
    with pytest.raises(KeyboardInterrupt):
        call()
    # What was done is kept, and shown as incomplete.
    assert episodes(tmp_path / "here")["training_seed"].unique().to_list() == [None, 0]
    call("--redraw")
    assert "| 1 of 2 |" in (tmp_path / "here/docs/leaderboard.md").read_text()
    out = call()
    assert "1 of 3 pieces to do" in out
    assert len(scored) == 3
    both = [episodes(tmp_path / home).drop(TIMES) for home in ("here", "unbroken")]
    assert both[0].equals(both[1])


@pytest.mark.usefixtures("tiny_board")
def test_a_piece_that_fails_is_reported_and_repeated(call, tmp_path, monkeypatch) -> None:
    def broken(self, *_):
        raise RuntimeError("out of luck")

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "train", broken)
        with pytest.raises(SystemExit, match="2 pieces failed"):
            call()
    assert set(episodes(tmp_path / "here")["kind"]) == {
        REFERENCE,
        YARDSTICK,
        INFORMED,
    }
    assert "2 of 3 pieces to do" in call()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "made-upp"], "unknown task 'made-upp'.*Did you mean 'made-up'"),
        (["--agent", "ppoo"], "unknown agent 'ppoo'.*Did you mean 'ppo'"),
    ],
)
@pytest.mark.usefixtures("tiny_board")
def test_unknown_names_are_refused(call, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        call(*arguments)


def test_nothing_to_draw_says_what_to_do(call) -> None:
    with pytest.raises(FileNotFoundError, match="run the leaderboard first"):
        call("--redraw")


def test_settings_tell_recipes_apart_but_not_seeds(tmp_path) -> None:
    one = Cell(TINY, Learner("ppo"), 0)
    assert one.settings == Cell(TINY, Learner("ppo", seeds=9), 3).settings
    others = [
        Cell(TINY, Learner("ppo", steps=7)),
        Cell(TINY, Learner("ppo", hyperparameters={"gamma": 0.5})),
        Cell(TINY, Learner("sac")),
        Cell(StoreTask(TINY.id, TINY.reference, weeks=6), Learner("ppo")),
    ]
    assert len({cell.settings for cell in (one, *others)}) == 5
    assert one.folder(tmp_path) != Cell(TINY, Learner("ppo"), 1).folder(tmp_path)


def test_order_of_the_work() -> None:
    found = [str(cell) for cell in cells_of(board.FULL)]
    assert len(found) == len(set(found))
    for task in {cell.task.name for cell in cells_of(board.FULL)}:
        mine = [name for name in found if name.startswith(f"{task}:")]
        assert mine[0] == f"{task}: references"
    # A headline task's learners have five training seeds or more.
    for entry in board.FULL:
        if entry.task.name != "RetailSynth-v0":
            assert all(learner.seeds >= 5 for learner in entry.learners)


# tables of planted results


def planted(agent, returns, seed=None, kind=REFERENCE, best=False, stores=None, planned=1):
    n = len(returns)
    facts = {
        "task": "made-up", "agent": agent, "kind": kind, "best_known": best, "settings": "s",
        "planned": planned, "training_seed": seed, "steps": None if seed is None else 100 + seed,
        "wall_seconds": None if seed is None else 60.0, "cpu_seconds": None if seed is None else 30.0,
        "store": stores or [None] * n, "seed": list(range(n)), "return": returns,
    }  # fmt: skip
    columns = {k: v if isinstance(v, list) else [v] * n for k, v in facts.items()}
    return pl.DataFrame({name: columns[name] for name in EPISODES}, schema=EPISODES)


def planted_board(luck, **kw):
    heights = {"random": 0.0, "I": 1.0, "II": 2.0, "III": 6.0, "IV": 3.0, "V": 5.0}
    rows = [
        planted(
            name,
            list(h + luck),
            kind=REFERENCE if name == "random" else YARDSTICK,
            **kw,
        )
        for name, h in heights.items()
    ]
    return pl.concat([*rows, planted("static", list(10.0 + luck), best=True, **kw)])


def test_table_of_planted_results() -> None:
    luck = np.array([0.5, -0.5, 1.0, -1.0])
    runs = [
        planted("ppo", list(h + luck), seed, LEARNER, planned=5)
        for seed, h in enumerate([8.0, 9.0, 7.0, -50.0])
    ]
    rows = pl.concat([planted_board(luck), *runs])
    found = {row.agent: row for row in table.summarise(rows)}
    assert list(found)[:3] == ["static", "ppo", "III"]
    ppo = found["ppo"]
    assert ppo.score.mean == pytest.approx(7.5)  # the middle two of four
    assert ppo.normalised.mean == pytest.approx(0.75)
    assert ppo.gain.mean == pytest.approx(1.5)
    assert ppo.improvement.mean == pytest.approx(0.75)  # three of four runs, on every luck
    assert (ppo.seeds, ppo.planned, ppo.steps, ppo.cpu_seconds) == (4, 5, 101.5, 30.0)
    text = table.markdown(rows)
    (line,) = (row for row in text.splitlines() if row.startswith("| **ppo** |"))
    assert "| 7.500 [" in line
    assert "| 4 of 5 | 102 | 0.5 | 1.0 |" in line
    assert "gain over III" in text
    assert "| **ppo** | 0.750 [" in table.summary_table(rows)
    assert "(4 of 5 seeds)" in table.summary_table(rows)


def test_stores_are_the_luck_of_a_pool() -> None:
    # Two stores with three episodes each: luck within a store averages out.
    luck = np.array([1.0, 0.0, -1.0, 5.0, 4.0, 3.0])
    rows = planted_board(luck, stores=[7, 7, 7, 9, 9, 9])
    (random,) = (row for row in table.summarise(rows) if row.agent == "random")
    assert (random.score.mean, random.score.low, random.score.high) == pytest.approx((2, 0, 4))
    assert table.markdown(rows).startswith("2 unseen stores x 3 episodes")


def test_a_table_needs_its_references_and_the_same_luck() -> None:
    luck = np.zeros(4)
    with pytest.raises(ValueError, match="no results of its references"):
        table.markdown(planted_board(luck).filter(pl.col("agent") != "random"))
    with pytest.raises(ValueError, match="same luck"):
        table.summarise(pl.concat([planted_board(luck), planted("ppo", [1.0, 2.0], 0)]))


def test_merging_keeps_other_runs_and_drops_other_settings() -> None:
    def run(seed, value, settings="s"):
        return planted("ppo", [value], seed).with_columns(settings=pl.lit(settings))

    old = pl.concat([planted("I", [1.0]), run(0, 1.0), run(1, 2.0)])
    same = merge(old, run(1, 7.0))
    assert same.select("agent", "return").rows() == [("I", 1.0), ("ppo", 1.0), ("ppo", 7.0)]
    other = merge(old, run(1, 7.0, "new"))
    assert other.select("agent", "return").rows() == [("I", 1.0), ("ppo", 7.0)]
    assert merge(old, planted("I", [3.0]))["return"].to_list() == [3.0, 1.0, 2.0]


def test_fill_touches_its_own_place_only() -> None:
    two = "a\n<!-- leaderboard:X -->\n1\n<!-- /leaderboard -->\n<!-- leaderboard:Y -->\n2\n<!-- /leaderboard -->\n"
    assert table.fill(two, "Y", r"\1 new") == two.replace("\n2\n", "\n\\1 new\n")
    assert table.fill(two, "Z", "3") == two


# what is shipped


def test_the_pages_are_those_of_the_shipped_results(tmp_path) -> None:
    rows = cells.read(ROOT / "experiments/data/leaderboard.parquet", EPISODES)
    if rows.is_empty():
        pytest.skip("no results in this checkout")
    for folder in ("docs", "docs/tasks"):
        for path in (ROOT / folder).glob("*.md"):
            text = path.read_text(encoding="utf-8")
            for name in (*rows["task"].unique(), table.SUMMARY):
                text = table.fill(text, name, "to be filled")
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(text, encoding="utf-8")
    command.redraw(ROOT / "experiments/data", tmp_path)
    for copy in tmp_path.rglob("*.md"):
        assert copy.read_text() == (ROOT / copy.relative_to(tmp_path)).read_text(), copy.name


def test_scores_are_those_of_normalised_score() -> None:
    rows = cells.read(ROOT / "experiments/data/leaderboard.parquet", EPISODES)
    for task in set(rows["task"]) & set(reference_scores()):
        for row in table.summarise(rows.filter(pl.col("task") == task)):
            assert row.normalised.mean == pytest.approx(normalised_score(row.score.mean, task))


@pytest.mark.slow
def test_a_pool_of_stores(call, monkeypatch, tmp_path) -> None:
    task = PoolTask(stores=2, episodes=2, label="made-up")
    monkeypatch.setattr(board, "FULL", (Entry(task, (PlainLearner("bayes_adaptive", 1, 600),)),))
    call()
    rows = episodes(tmp_path / "here")
    assert rows["store"].n_unique() == 2
    page = (tmp_path / "here/docs/leaderboard.md").read_text()
    assert "2 unseen stores x 2 episodes" in page
    assert "hindsight static \\*" in page
    done = json.loads(next((tmp_path / "here/out").rglob("bayes*/done.json")).read_text())
    assert done["learner"]["steps"] == 600


@pytest.mark.slow
def test_coupons_in_stores_of_their_own(call, monkeypatch, tmp_path) -> None:
    task = CouponTask(stores=2, label="made-up")
    monkeypatch.setattr(board, "FULL", (Entry(task, (PlainLearner("linucb", 1, 6_000),)),))
    call()
    rows = episodes(tmp_path / "here")
    assert rows["store"].unique().to_list() == [0, 1]
    assert rows.filter(pl.col("kind") == YARDSTICK)["agent"].n_unique() == 11
    # No coupon, from the environment itself.
    env = gym.make("RetailSynthCoupons-v0", world_seed=1)
    env.reset(seed=1)
    total, done = 0.0, False
    while not done:
        _, reward, _, done, _ = env.step(np.zeros(100, dtype=np.int64))
        total += float(reward)
    mine = rows.filter((pl.col("agent") == "0 %") & (pl.col("store") == 1))
    assert mine["return"].to_list() == pytest.approx([total])
