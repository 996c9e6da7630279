"""Pools of stores: what is drawn, what is shipped, what is kept on disk."""

from __future__ import annotations

import copy
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from retail_gym.config import CACHE_VARIABLE
from retail_gym.world import make_world
from retail_gym.world import pool as pools
from retail_gym.world.pool import ADAPTIVE, SPLITS, PoolConfig, PriorRange, StorePool, StoreRecord
from retail_gym.world.priors import LogNormal, Uniform

TINY = PoolConfig("tiny", "tiny", {"alpha_1": PriorRange(Uniform(1.0, 9.0), 0.25, 0.75)})


def values(symbol, n=400):
    return np.array([ADAPTIVE.values(seed)[symbol] for seed in range(n)])


def test_scalars_fill_the_stated_part_of_their_laws():
    # Uniform over the range: Kolmogorov-Smirnov, three tests at 1e-4 each.
    law = LogNormal(0.8, 1.2)
    low, high = law.quantile([0.1, 0.9])
    alpha_1 = values("alpha_1")
    assert low <= alpha_1.min() <= alpha_1.max() <= high
    share = (stats.norm.cdf((np.log(alpha_1) - 0.8) / 1.2) - 0.1) / 0.8
    for u in (share, (values("gamma_store_0") + 3.2) / 3.2, values("gamma_store_2") / 0.001):
        assert stats.kstest(u, "uniform").pvalue > 1e-4


def test_scalars_are_drawn_apart():
    # Spearman, three pairs at 1e-4 each.
    columns = [values(symbol) for symbol in ADAPTIVE.ranges]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert stats.spearmanr(columns[a], columns[b]).pvalue > 1e-4


def test_a_store_is_its_configuration_and_nothing_else():
    world = StorePool(TINY, [7], cache="").world(0)
    assert world.seed == 7
    assert world.alpha_1 == TINY.values(7)["alpha_1"]
    assert 3.0 <= world.alpha_1 <= 7.0
    again = StorePool(TINY, [3, 7], cache="").world(1)
    np.testing.assert_array_equal(world.beta_x, again.beta_x)
    assert world.reward_scale == again.reward_scale


# What is shipped


def test_shipped_parts_are_disjoint_complete_and_above_the_floor():
    table = pools._shipped()
    train, test = (pools.shipped_pool(split) for split in SPLITS)
    assert (len(train), len(test)) == (64, 32)
    assert not set(train.world_seeds) & set(test.world_seeds)
    assert all(r.best_return >= ADAPTIVE.floor for r in (*train.records, *test.records))
    assert all(row["best_return"] < ADAPTIVE.floor for row in table["redrawn"])
    redrawn = [row["world_seed"] for row in table["redrawn"]]
    # No candidate was passed over for another reason.
    everything = sorted([*train.world_seeds, *test.world_seeds, *redrawn])
    assert everything == list(range(ADAPTIVE.first_seed, everything[-1] + 1))
    assert list(train.world_seeds) + list(test.world_seeds) == sorted(
        [*train.world_seeds, *test.world_seeds]
    )


@pytest.mark.parametrize("split", SPLITS)
def test_shipped_scalars_and_reward_scales_are_those_of_the_stores(split):
    pool = pools.shipped_pool(split)
    for k in (0, len(pool) - 1):
        record, world = pool.records[k], pool.world(k)
        assert dict(record.values) == ADAPTIVE.values(record.world_seed)
        fresh = StorePool(ADAPTIVE, [record.world_seed], cache="").world(0)
        assert world.alpha_1 == fresh.alpha_1 == record.values["alpha_1"]
        assert fresh.reward_scale == pytest.approx(record.reward_scale, rel=1e-9)
        assert world.reward_scale == record.reward_scale


def test_a_changed_preset_asks_for_a_new_list(monkeypatch):
    pools._shipped.cache_clear()
    monkeypatch.setattr(pools, "ADAPTIVE", replace(ADAPTIVE, floor=ADAPTIVE.floor + 1.0))
    with pytest.raises(ValueError, match="ship_adaptive_pool"):
        pools._shipped()


# Which store an episode is in


def test_the_episode_key_picks_the_store_evenly():
    pool = StorePool(TINY, range(8), cache="")
    keys = np.random.default_rng(0).integers(2**63, size=4000).tolist()
    picks = np.array([pool.index(key) for key in keys])
    assert (picks == [pool.index(key) for key in keys]).all()
    # chi-square at 1e-4; a store left out or taken twice as often is far outside.
    assert stats.chisquare(np.bincount(picks, minlength=8)).pvalue > 1e-4


def test_a_part_keeps_its_stores():
    pool = StorePool(TINY, [5, 6, 7], cache="")
    assert pool.part([2, 0]).world_seeds == (7, 5)
    with pytest.raises(ValueError, match="at most 2"):
        pool.part([3])


# The cache


def never(*_):
    raise AssertionError("built although it is on disk")


def only_file(folder):
    (path,) = folder.rglob("*.npz")
    return path


def test_a_world_is_built_once_and_then_read(tmp_path, monkeypatch):
    built = StorePool(TINY, [1], cache=tmp_path).world(0)
    monkeypatch.setattr(pools, "build_world", never)
    read = StorePool(TINY, [1], cache=tmp_path).world(0)
    for name in ("beta_x", "beta_u", "base_price", "gamma_prod_1", "z"):
        np.testing.assert_array_equal(getattr(built, name), getattr(read, name))
    assert built.reward_scale == read.reward_scale
    assert not [p for p in tmp_path.rglob("*") if p.suffix == ".tmp"]


@pytest.mark.parametrize("damage", [b"", b"not an archive", None])
def test_a_damaged_file_is_built_again_with_a_message(tmp_path, damage):
    right = StorePool(TINY, [1], cache=tmp_path).world(0)
    path = only_file(tmp_path)
    path.write_bytes(path.read_bytes()[:-400] if damage is None else damage)
    with pytest.warns(RuntimeWarning, match="building .* again"):
        world = StorePool(TINY, [1], cache=tmp_path).world(0)
    np.testing.assert_array_equal(world.beta_x, right.beta_x)
    with warnings.catch_warnings():  # and whole on disk
        warnings.simplefilter("error")
        StorePool(TINY, [1], cache=tmp_path).world(0)


def test_a_file_of_another_store_is_not_taken(tmp_path):
    StorePool(TINY, [1], cache=tmp_path).world(0)
    path = only_file(tmp_path)
    path.rename(path.with_name("2.npz"))
    with pytest.warns(RuntimeWarning, match="another store"):
        assert StorePool(TINY, [2], cache=tmp_path).world(0).seed == 2


def test_a_stale_file_does_not_outlive_the_record(tmp_path):
    scale = StorePool(TINY, [1], cache=tmp_path).world(0).reward_scale
    record = StoreRecord(1, 2.0 * scale, 0.1, 0.1, 5.0, {})
    with pytest.warns(RuntimeWarning, match="another store"):
        world = StorePool(TINY, [1], cache=tmp_path, records=[record]).world(0)
    assert world.reward_scale == 2.0 * scale


def test_a_file_of_old_code_is_not_taken(tmp_path):
    # The seed, the name and R0 (which comes from the record) are right, what was drawn is not.
    now = StorePool(TINY, [1], cache="").world(0)
    total = float(now.base_price.sum())
    record = StoreRecord(1, now.reward_scale, 0.1, 0.1, 5.0, {}, total)
    pool = StorePool(TINY, [1], cache=tmp_path, records=[record])
    for old in (
        replace(now, alpha_1=now.alpha_1 + 0.1),
        replace(now, base_price=now.base_price * 1.001),
    ):
        replace(old, stored_reward_scale=now.reward_scale).save(pool.folder / "1.npz")
        with pytest.warns(RuntimeWarning, match="another store"):
            world = StorePool(TINY, [1], cache=tmp_path, records=[record]).world(0)
        assert world.alpha_1 == now.alpha_1
        np.testing.assert_array_equal(world.base_price, now.base_price)


#: Of the world "tiny", seed 3, under each number of DRAWS: weighted sums of what is drawn.
DRAWN = {
    1: {
        "gamma_cate_0": -0.236441302,
        "gamma_cate_1": 0.1279025795,
        "beta_u": 2.487377558,
        "beta_i": -2.474168252,
        "z": 3.83579818,
        "alpha_0": 3.110409614,
        "base_price": 29.19383724,
        "gamma_prod_0": -2.709920132,
        "beta_x": -1.647276528,
        "beta_z": 5.774771495,
        "gamma_prod_1": 0.01495505669,
        "reward_scale": 29.9881862,
    }
}


def test_another_way_of_drawing_has_another_number():
    """Fails after a change of what a seed draws: count up ``pool.DRAWS``, note the new sums."""
    world = make_world("tiny", seed=3)
    pairs = vars(world.coefficients.rows(np.arange(5)))  # per customer and product
    expected = DRAWN[pools.DRAWS]
    drawn = {n: np.ravel(pairs[n] if n in pairs else getattr(world, n)) for n in expected}
    found = {n: float(np.cos(np.arange(x.size)) @ x.astype(float)) for n, x in drawn.items()}
    assert found == pytest.approx(expected, rel=1e-5)


def test_worlds_drawn_in_another_way_are_kept_apart(tmp_path, monkeypatch):
    before = StorePool(TINY, [1], cache=tmp_path).folder
    monkeypatch.setattr(pools, "DRAWS", pools.DRAWS + 1)
    assert StorePool(TINY, [1], cache=tmp_path).folder != before


def test_other_configurations_do_not_share_files(tmp_path):
    StorePool(TINY, [1], cache=tmp_path).world(0)
    other = replace(TINY, ranges={"alpha_1": PriorRange(Uniform(1.0, 2.0))})
    assert StorePool(other, [1], cache=tmp_path).world(0).alpha_1 <= 2.0
    assert len(list(tmp_path.rglob("1.npz"))) == 2


def test_without_a_writable_folder_worlds_are_built_in_memory(tmp_path):
    (tmp_path / "file").write_text("")
    pool = StorePool(TINY, [1, 2], cache=tmp_path / "file")
    with pytest.warns(RuntimeWarning, match="not kept on disk"):
        assert pool.world(0).seed == 1
    with warnings.catch_warnings():  # said once
        warnings.simplefilter("error")
        assert pool.world(1).seed == 2


def test_the_variable_names_the_folder_or_turns_it_off(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    StorePool(TINY, [1]).world(0)
    assert only_file(tmp_path).name == "1.npz"
    monkeypatch.setenv(CACHE_VARIABLE, "")
    assert StorePool(TINY, [1]).folder is None


def test_few_worlds_stay_in_memory():
    pool = StorePool(TINY, range(5), cache="", keep=2)
    first = pool.world(0)
    assert pool.world(0) is first
    for k in range(1, 5):
        pool.world(k)
    assert len(pool._worlds) == 2
    assert pool.world(0) is not first


def test_a_pool_travels(tmp_path):
    pool = StorePool(TINY, [1, 2], cache=tmp_path)
    pool.world(0)
    assert copy.deepcopy(pool) is pool
    there = pickle.loads(pickle.dumps(pool))
    assert there.world_seeds == pool.world_seeds
    assert not there._worlds
    np.testing.assert_array_equal(there.world(0).z, pool.world(0).z)


# Refusals


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: pools.as_pool("trainn"), ValueError, "Did you mean 'train'"),
        (lambda: StorePool(TINY, []), ValueError, "at least one"),
        (lambda: StorePool(TINY, [1, 1]), ValueError, "different"),
        (lambda: PoolConfig("x", "smalll"), ValueError, "Did you mean 'small'"),
        (
            lambda: PoolConfig("x", "tiny", {"alpha1": PriorRange(Uniform(0, 1))}),
            TypeError,
            "Did you mean 'alpha_1'",
        ),
        (lambda: PriorRange(Uniform(0, 1), 0.9, 0.1), ValueError, "below high"),
        (lambda: StorePool(TINY, [1], cache="").world(1), ValueError, "at most 0"),
        (
            lambda: StorePool(TINY, [1], records=[StoreRecord(2, 1.0, 0, 0, 1, {})]),
            ValueError,
            "records",
        ),
    ],
)
def test_mistakes_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
