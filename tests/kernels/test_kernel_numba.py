"""The compiled kernel makes the decisions of the reference kernel: all of them, on every store.

``STORES`` are the presets and stores that corner the arithmetic. On each, four simulators walk
side by side for 200 weeks of changing prices, three segments priced apart, some weeks with a
coupon per customer:

    reference    float64 NumPy, the oracle
    lazy         the default: what a draw settles is left out
    full         every row of a visitor
    wide         the guard band a hundred thousand times as wide, so that nearly everything is
                 taken again in double precision

The float32 pieces that the passes are made of are held to the oracle one by one further down.
Fixed seeds; nothing is timed.
"""

from __future__ import annotations

import functools
import math
import threading
from pathlib import Path

import numpy as np
import pytest
from numba import njit

import retail_gym
from retail_gym import rng
from retail_gym.kernels import passes, single
from retail_gym.kernels.memory import FastMemory, make_board
from retail_gym.kernels.numba_cpu import NumbaKernel
from retail_gym.kernels.packed import LARGEST_FEATURE, pack
from retail_gym.kernels.reference import ReferenceKernel
from retail_gym.kernels.shelf import Laws, shelf_weeks
from retail_gym.model.category_choice import category_value
from retail_gym.model.price import discount, discount_state
from retail_gym.model.price import price as shelf_price
from retail_gym.model.product_choice import choose_product
from retail_gym.model.utility import capped_utility
from retail_gym.policies import SCENARIOS
from retail_gym.promotion import Promotion
from retail_gym.rng import Stage
from retail_gym.simulator import Simulator
from retail_gym.world import PromotionPlan, World
from retail_gym.world.noise import noise_words, utility
from retail_gym.world.priors import Uniform

KEY = 2**63 + 987_654_321  # more than a signed integer holds
WEEKS = 200
FIELDS = ("customer", "category", "product", "quantity")
_MARKET = Path(__file__).parents[1] / "data" / "market_III.npz"


# --- Stores ----------------------------------------------------------------------------------


def _market(marketing_scale=600.0, eps=(0.0, 0.1), **changes):
    with np.load(_MARKET) as file:
        arrays = {name: file[name] for name in file.files}
    return World.from_arrays(arrays | changes, eps=eps, marketing_scale=marketing_scale)


def _partly_negative():
    """Every third category is bought less often, the better it is: no bound on what it is worth."""
    with np.load(_MARKET) as file:
        gamma = file["gamma_cate_1"].copy()
    gamma[::3] *= -1.0
    return _market(gamma_cate_1=gamma)


def _single_products():
    """600 categories of one product each."""
    values = np.random.default_rng(1)
    return _market(
        category_sizes=np.ones(600),
        gamma_cate_0=values.normal(-4.5, 0.5, 600),
        gamma_cate_1=values.uniform(0.02, 0.1, 600),
    )


def _far_below(gamma_store_1=0.0, theta=0.0, shares=(0.0, 0.3, 1.0), **changes):
    """Customers so price-sensitive that their best product lies hundreds below the cap.

    A third of them by the full amount, a third by a third of it, and a third not at all. The
    weights of values are small, so that they shop all the same.
    """
    with np.load(_MARKET) as file:
        a = {name: file[name] for name in file.files}
    people, products = a["beta_x"].shape
    share = np.resize(shares, people)
    values = np.random.default_rng(2)
    return _market(
        **{
            "base_price": a["base_price"] + 2.0,
            "beta_i": np.full(products, -3.0) * values.uniform(0.9, 1.1, products),
            "beta_u": -0.5 - 110.0 * share,
            "beta_x": a["beta_x"] * 0.1,
            "gamma_cate_0": np.full(a["gamma_cate_0"].shape, -1.0),
            "gamma_cate_1": np.full(a["gamma_cate_1"].shape, 0.003),
            "gamma_store_0": 2.0,
            "gamma_store_1": gamma_store_1,
            "gamma_store_2": 0.001,
            "theta": np.full(people, theta),
        }
        | changes
    )


def _noise_is_all(eps, **changes):
    """Utilities of little but the noisy intercept, which is large or far from zero."""
    with np.load(_MARKET) as file:
        a = {name: file[name] for name in file.files}
    large = max(abs(e) for e in eps)
    return _market(
        eps=eps,
        **{
            "beta_x": a["beta_x"] * 0.01,
            "beta_z": a["beta_z"] * 0.01,
            "beta_u": a["beta_u"] * 0.01,
            "gamma_cate_1": np.full(25, 1.0 / large),
            "gamma_store_1": 1.0 / large,
            "gamma_prod_1": a["gamma_prod_1"] / large,
        }
        | changes,
    )


_make = functools.partial(functools.partial, retail_gym.make_world)
STORES = {
    # The presets; the large ones with fewer customers, for the sake of the reference.
    "tiny": _make("tiny"),
    "small": _make("small"),
    "coupon_brand_loyalty": _make("coupon_brand_loyalty", n_customers=30),
    "coupon_driven": _make("coupon_driven", n_customers=30),
    "scenario": _make("scenario", n_customers=6),
    "scenario_prior": _make("scenario_prior", n_customers=6, seed=3),
    "calibrated": _make("calibrated", n_customers=4),
    # Other settings.
    "persistent features": _make("small", features="persistent", n_customers=30),
    "persistent features, no cap": _make(
        "small", features="persistent", n_customers=20, clip_percentile=100.0
    ),
    "inertia under a cap": _make(
        "small", theta=Uniform(0.1, 0.5), n_customers=20, gamma_store_0=-1.5
    ),
    "random marketing": _make("tiny", marketing="noise", gamma_store_2=0.8, gamma_store_0=-2.0),
    "a low cap": _make("small", clip_percentile=40.0, n_customers=30, category_shift=6.0),
    # Given arrays.
    "market": _market,
    "market, no cap": functools.partial(_market, clip_percentile=100.0),
    "market, gamma_cate_1 partly negative": _partly_negative,
    "market, gamma_store_1 zero": functools.partial(_market, gamma_store_1=0.0),
    "market, gamma_store_1 negative": functools.partial(
        _market, gamma_store_1=-0.1, gamma_store_0=0.5
    ),
    "market, large quantities": functools.partial(_market, gamma_prod_0=np.linspace(2.5, 4.5, 600)),
    "market, huge quantities": functools.partial(_market, gamma_prod_0=np.linspace(6.0, 24.0, 600)),
    "market, single products": _single_products,
    "market, far below the cap": _far_below,
    "market, far below the cap, remembered": functools.partial(_far_below, gamma_store_1=0.012),
    "market, far below the cap, inertia": functools.partial(
        _far_below, gamma_store_1=0.012, theta=0.3
    ),
    "market, far below zero, no cap": functools.partial(
        _far_below, gamma_store_1=0.012, clip_percentile=100.0
    ),
    "market, loud noise": functools.partial(_market, eps=(0.0, 30.0), gamma_store_1=0.005),
    "market, loud noise, no cap": functools.partial(
        _market, eps=(0.0, 30.0), gamma_store_1=0.005, clip_percentile=100.0
    ),
    "market, noise is all": functools.partial(_noise_is_all, (0.0, 100.0)),
    "market, noise is all, no cap": functools.partial(
        _noise_is_all, (0.0, 100.0), clip_percentile=100.0
    ),
    "market, noise far from zero": functools.partial(_noise_is_all, (2_000.0, 0.1)),
    "market, noise far from zero, no cap": functools.partial(
        _noise_is_all, (2_000.0, 0.1), clip_percentile=100.0
    ),
}  # fmt: skip

#: Stores that no one has, or on which SciPy's quantiles are slow.
FEWER_WEEKS = {name: 60 for name in STORES if "noise" in name or "far below" in name} | {
    "market, far below the cap, remembered": WEEKS,
    "market, huge quantities": 15,
    "market, noise far from zero, no cap": WEEKS,
}


@functools.cache
def store(name):
    return STORES[name]()


# --- Side by side ----------------------------------------------------------------------------


def _segments(world):
    """Three segments that are not in order of the customers."""
    order = np.random.default_rng(5).permutation(world.n_customers)
    return [np.sort(part) for part in np.array_split(order, 3)]


def offers(world, key=KEY, weeks=WEEKS):
    """Prices of every segment, and coupons or None, week by week.

    Blocks of policies I, III and V (each segment another one), of random depth and frequency,
    of prices up to 40 % above base, and of one price for all; a coupon per customer every
    fifth week, of three sizes.
    """
    generator = np.random.default_rng(11)
    promotion = Promotion(world.n_products, key, 3)
    names = ("I", "III", "V")
    for week in range(1, weeks + 1):
        block = (week // 8) % 6
        if block < 3:
            plans = [PromotionPlan.high_low(*SCENARIOS[names[(block + s) % 3]]) for s in range(3)]
        else:
            action = generator.uniform(0.0, (0.5, 0.6), (3, 2))
            plans = [PromotionPlan.high_low(*a) for a in action]
        price = world.base_price * (1.0 - promotion.step(plans, week))
        if block == 4:
            price = world.base_price * generator.uniform(0.6, 1.4, price.shape)
        if block == 5:
            price = world.base_price * np.full(price.shape, generator.choice([0.7, 1.0, 1.25]))
        coupon = None
        if week % 5 == 0:
            coupon = generator.choice([0.0, 0.05, 0.5], world.n_customers)
        yield week, price, coupon


def same(ours, theirs, where=""):
    """The same visits and the same lines, exactly."""
    assert np.array_equal(ours.visited, theirs.visited), f"visits differ: {where}"
    for field in FIELDS:
        a, b = getattr(ours.lines, field), getattr(theirs.lines, field)
        assert np.array_equal(a, b), f"{field} differs: {where}"


def close(ours, theirs):
    """The same memory, to ten digits."""
    assert np.array_equal(ours.visited, theirs.visited)
    np.testing.assert_allclose(ours.store_value, theirs.store_value, rtol=1e-10, atol=0)
    np.testing.assert_allclose(ours.visit_probability, theirs.visit_probability, rtol=1e-10, atol=0)


def walk(world, kernels, weeks=WEEKS, wide_weeks=WEEKS):
    """Simulators side by side; the lines sold, the visits, the oracle and the others."""
    segments = _segments(world)
    simulators = {name: Simulator(world, KEY, segments, kernel) for name, kernel in kernels.items()}
    oracle, lines, visits = Simulator(world, KEY, segments, ReferenceKernel()), 0, 0
    for week, price, coupon in offers(world, weeks=weeks):
        expected = oracle.step(price, coupon)
        for name, simulator in simulators.items():
            if name != "wide" or week <= wide_weeks:
                same(simulator.step(price, coupon), expected, f"{name}, week {week}")
        lines += expected.categories
        visits += int(expected.visited.sum())
    return lines, visits, oracle, simulators


@pytest.mark.parametrize("name", STORES)
def test_decisions_are_those_of_the_reference(name):
    """200 weeks, or 60 on the stores that no one has; afterwards the memory agrees to ten digits.

    With inertia the wide kernel walks 15 weeks: an open visit is followed back over some 40
    weeks in NumPy.
    """
    world, weeks = store(name), FEWER_WEEKS.get(name, WEEKS)
    kernels = {
        "lazy": NumbaKernel(), "full": NumbaKernel(lazy=False), "wide": NumbaKernel(guard=1e5)
    }  # fmt: skip
    wide_weeks = 15 if world.theta.any() else weeks
    lines, visits, oracle, simulators = walk(world, kernels, weeks, wide_weeks)
    assert lines > 100  # the comparison is about something
    assert visits < weeks * world.n_customers - 20
    for kernel in ("lazy", "full"):
        close(simulators[kernel].memory, oracle.memory)
    capped = world.cap_reference.percentile < 100
    monotone = (world.gamma_cate_1 >= 0).all() and world.gamma_store_1 >= 0
    assert kernels["lazy"].is_lazy(world) == (capped and monotone and not world.theta.any())
    # Nearly everything was taken in double precision there.
    assert kernels["wide"].counts[3] >= lines * wide_weeks / weeks / 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "coupon_brand_loyalty", "coupon_driven", "calibrated", "inertia under a cap",
        "market, far below the cap, inertia",
    ],
)  # fmt: skip
def test_200_weeks_of_a_wide_guard_band_with_inertia(name):
    walk(store(name), {"wide": NumbaKernel(1e5), "wide and full": NumbaKernel(1e5, lazy=False)})


@pytest.mark.parametrize("name", ["small", "market", "coupon_driven", "scenario"])
def test_without_a_guard_band_few_weeks_differ(name):
    """Single precision alone: at most 2 % of the weeks hold a decision that it turns.

    A week that differs is still a valid one; the walk goes on
    from the reference's memory, so that one difference is counted once.
    """
    world, segments, differ = store(name), _segments(store(name)), 0
    oracle = Simulator(world, KEY, segments, ReferenceKernel())
    bare = Simulator(world, KEY, segments, NumbaKernel(guard=0.0))
    for _, price, coupon in offers(world):
        expected, outcome = oracle.step(price, coupon), bare.step(price, coupon)
        try:
            same(outcome, expected)
        except AssertionError:
            differ += 1
            bare.restore(oracle.snapshot())
        lines = outcome.lines
        assert (lines.quantity >= 1).all()
        assert outcome.visited[lines.customer].all()
        assert np.array_equal(world.category_of_product[lines.product], lines.category)
        pairs = lines.customer * world.n_categories + lines.category
        assert (np.diff(pairs) > 0).all()  # sorted, one line per customer and category
    assert differ <= 0.02 * WEEKS


def test_decisions_near_their_threshold_are_taken_again():
    """With the ordinary band: few, but over 200 weeks of many customers some."""
    world = retail_gym.make_world("small")
    kernel = NumbaKernel()
    simulator = Simulator(world, 3, kernel=kernel)
    for _ in range(WEEKS):
        simulator.step(0.8 * world.base_price)
    products, rows, sums, categories64, visits64 = kernel.counts
    assert 0 < categories64 < 0.01 * sums
    assert visits64 < 0.01 * rows
    assert 0 < products < rows * world.n_products  # rows stop early


# --- Memory ----------------------------------------------------------------------------------


def test_what_is_remembered_at_strong_inertia():
    """Errors of 60 weeks ago still count at theta = 0.6; the numbers asked for are exact."""
    world = retail_gym.make_world("tiny", theta=0.6, gamma_store_0=-1.0, category_shift=6.0)
    _, _, oracle, simulators = walk(world, {"lazy": NumbaKernel()})
    close(simulators["lazy"].memory, oracle.memory)


@pytest.mark.parametrize("name", ["small", "coupon_driven", "inertia under a cap", "calibrated"])
@pytest.mark.parametrize("lazy", [True, False])
def test_memory_is_asked_for_every_week_and_changes_nothing(name, lazy):
    """Reading the memory is not a step: decisions stay those of a run that never looks."""
    world, weeks = store(name), 12
    oracle = Simulator(world, KEY, kernel="reference")
    looked = Simulator(world, KEY, kernel=NumbaKernel(lazy=lazy))
    for _, price, coupon in offers(world, weeks=weeks):
        expected = oracle.step(price[0], coupon)
        same(looked.step(price[0], coupon), expected)
        close(looked.memory, oracle.memory)
        assert (looked.memory.store_value[~looked.memory.visited] == 0).all()


@pytest.mark.parametrize("name", ["small", "inertia under a cap", "market", "calibrated"])
@pytest.mark.parametrize("lazy", [True, False])
def test_snapshots_cross_kernels(name, lazy):
    """A reference snapshot in a compiled simulator, the other way round, and back again."""
    world, segments = store(name), _segments(store(name))
    plan = list(offers(world, weeks=45))
    straight = Simulator(world, KEY, segments, "reference")
    expected = [straight.step(price, coupon) for _, price, coupon in plan]
    simulators = [
        Simulator(world, KEY, segments, "reference"),
        Simulator(world, KEY, segments, NumbaKernel(lazy=lazy)),
        Simulator(world, KEY, segments, NumbaKernel(lazy=not lazy)),
    ]
    state = simulators[0].snapshot()
    for week, price, coupon in plan:
        # Runs of weeks of every length between two changes of kernel.
        simulator = simulators[(week * week // 20) % 3]
        simulator.restore(state)
        same(simulator.step(price, coupon), expected[week - 1], f"week {week}")
        state = simulator.snapshot()
    close(simulator.memory, straight.memory)


@pytest.mark.parametrize("name", ["small", "coupon_brand_loyalty"])
def test_going_back_and_forth(name):
    """Restoring old snapshots in any order gives the same weeks again."""
    world = store(name)
    plan = list(offers(world, weeks=30))
    simulator, states, outcomes = Simulator(world, KEY, _segments(world)), [], []
    for _, price, coupon in plan:
        states.append(simulator.snapshot())
        outcomes.append(simulator.step(price, coupon))
    for week in (29, 3, 17, 0, 1, 28):
        simulator.restore(states[week])
        for later in range(week, min(week + 3, 30)):
            _, price, coupon = plan[later]
            same(simulator.step(price, coupon), outcomes[later], f"week {later + 1}")


def test_the_start_can_be_restored():
    world = store("small")
    simulator = Simulator(world, 5)
    start = simulator.snapshot()
    first = [simulator.step(world.base_price) for _ in range(3)]
    simulator.restore(start)
    for outcome in first:
        same(simulator.step(world.base_price), outcome)


@pytest.mark.parametrize("name", ["small", "inertia under a cap", "calibrated"])
def test_memory_does_not_grow_with_the_weeks(name):
    """Two weeks without inertia; with it, the weeks until it has forgotten, at most 65."""
    world, lengths = store(name), []
    simulator = Simulator(world, KEY)
    for _ in range(90):
        simulator.step(world.base_price)
        assert isinstance(simulator.memory, FastMemory)
        lengths.append(len(simulator.memory.past))
    assert lengths[-1] == lengths[-20]
    assert max(lengths) <= (65 if world.theta.any() else 2)


# --- Independence of order, chunks and threads -----------------------------------------------


def test_1100_customers_cross_the_chunk():
    """Lines are collected for 1,024 customers at a time."""
    world = retail_gym.make_world("tiny", n_customers=1_100, gamma_store_0=-1.0)
    for kernel in (NumbaKernel(), NumbaKernel(lazy=False)):
        oracle, ours = Simulator(world, 8, kernel="reference"), Simulator(world, 8, kernel=kernel)
        for _ in range(3):
            expected = oracle.step(0.75 * world.base_price)
            same(ours.step(0.75 * world.base_price), expected)
        assert expected.lines.customer.max() > 1024
        close(ours.memory, oracle.memory)


def test_customers_do_not_depend_on_one_another():
    """The first 20 customers of a store buy the same whether or not there are 80 more."""
    few = retail_gym.make_world("small", n_customers=20, marketing="noise", gamma_store_2=0.5)
    many = retail_gym.make_world("small", n_customers=60, marketing="noise", gamma_store_2=0.5)
    a, b = Simulator(few, KEY), Simulator(many, KEY)
    for _, price, _ in offers(few, weeks=30):
        ours, all_of_them = a.step(price[0]), b.step(price[0])
        keep = all_of_them.lines.customer < 20
        assert np.array_equal(ours.visited, all_of_them.visited[:20])
        for field in FIELDS:
            assert np.array_equal(
                getattr(ours.lines, field), getattr(all_of_them.lines, field)[keep]
            )


@pytest.mark.parametrize("name", ["small", "inertia under a cap"])
def test_threads_simulate_as_one_after_the_other(name):
    """Two simulators of one world at once, each with a kernel of its own.

    The interpreter lock is released in between; a kernel object holds scratch memory.
    """
    world = store(name)
    prices = [price[0] for _, price, _ in offers(world, weeks=120)]

    def run(key):
        simulator = Simulator(world, key, kernel=NumbaKernel())
        return [simulator.step(price) for price in prices]

    alone, together = {key: run(key) for key in (1, 2)}, {}
    start = threading.Barrier(2)

    def task(key):
        start.wait()
        together[key] = run(key)

    threads = [threading.Thread(target=task, args=(key,)) for key in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for key, outcomes in alone.items():
        for ours, expected in zip(together[key], outcomes, strict=True):
            same(ours, expected)


# --- The pieces: bits ------------------------------------------------------------------------


@njit
def _word_pair(hashed, k1, k2, first, second):  # pragma: no cover (compiled)
    for n in range(hashed.size):
        first[n], second[n] = single.words(hashed[n], k1, k2)


@njit
def _key(episode, week, stage, customer):  # pragma: no cover (compiled)
    return passes.key_halves(passes.stage_head(episode, week, stage), customer)


ADDRESSES = [
    (0, 1, Stage.NOISE, 0), (KEY, 53, Stage.CATEGORY, 99), (2**64 - 1, 10_000, Stage.VISIT, 10**6),
    (123, 2, Stage.QUANTITY, 2**40), (77, 3, Stage.PRODUCT, 5),
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_keys_words_and_second_words_bit_for_bit(address):
    episode, week, stage, customer = address
    key, hashed = rng.stream_key(episode, week, stage, customer), rng.item_hash(50_000)
    k1, k2 = _key(np.uint64(episode), week, np.uint64(stage), customer)
    assert (k1, k2) == (key.k1, key.k2)
    expected = rng.words(key, hashed)
    first, second = np.empty((2, hashed.size), np.uint32)
    k1, k2 = np.uint32(k1), np.uint32(k2)
    _word_pair(hashed, k1, k2, first, second)
    assert np.array_equal(first, expected)
    assert np.array_equal(second, rng.second_word(expected))
    out = np.empty(hashed.size, np.uint32)
    passes.category_words(hashed, k1, k2, out)
    assert np.array_equal(out, expected)


def _one_customer(n, base, sigma):
    """A store of one customer, n products and no prices, for the single-precision passes."""
    row = np.ones((1, n), dtype=np.float32)
    return single_store(rng.item_hash(n).copy(), base * row, sigma * row)


def single_store(hashed, base, sigma):
    world_packed = pack(store("tiny"))
    return world_packed.single._replace(
        item_hash=hashed,
        base=base,
        sigma=sigma,
        price_weight=np.zeros(base.shape[0], dtype=np.float32),
    )


def test_byte_sums_are_exact():
    """Through the pass itself: a feature polynomial of s alone returns (k - 510) / sd."""
    n = 200_000
    packed, key = _one_customer(n, 0.0, 1.0), rng.stream_key(9, 1, Stage.NOISE, 0)
    x = tuple(np.float32(c) for c in (1.0, 0.0, 0.0, 0.0, 0.0))
    out = np.empty(n, dtype=np.float32)
    none = np.zeros(n, dtype=np.float32)
    passes.utilities(
        packed, 0, key.k1[()], key.k2[()], none, x, np.zeros(9, np.float32), 0, n, None, out
    )
    k = rng.byte_sum(rng.words(key, packed.item_hash)).astype(np.int64)
    back = out.astype(np.float64) / rng.BYTE_SUM_SCALE + 510.0
    assert np.abs(back - k).max() < 1e-3
    # The same of the second word, through the noise polynomial.
    g = np.array([0, 1, 0, 0, 0, 0, 0, 0, 0], dtype=np.float32)
    packed = _one_customer(n, 0.0, 0.0)
    passes.utilities(packed, 0, key.k1[()], key.k2[()], none, x, g, 0, n, None, out)
    k = rng.byte_sum(rng.second_word(rng.words(key, packed.item_hash))).astype(np.int64)
    assert np.abs(out.astype(np.float64) / rng.BYTE_SUM_SCALE + 510.0 - k).max() < 1e-3


def test_the_largest_feature_bounds_the_polynomials():
    assert np.abs(rng.feature_lattice()).max() <= LARGEST_FEATURE
    assert np.abs(rng.normal_lattice()).max() <= LARGEST_FEATURE


# --- The pieces: float32 against the equations -----------------------------------------------


@njit
def _exp2(values, out):  # pragma: no cover (compiled)
    for k in range(values.size):
        out[k] = single.exp2(values[k])


def test_exp2_to_its_stated_error():
    x = np.concatenate([np.linspace(-126, 30, 400_001), np.arange(-126.0, 31.0)]).astype(np.float32)
    out = np.empty_like(x)
    _exp2(x, out)
    exact = np.exp2(x.astype(np.float64))
    assert np.abs(out / exact - 1.0).max() < 2.5e-7
    below = np.array([-126.0, -127.0, -1e4, -1e30], dtype=np.float32)
    out = np.empty_like(below)
    _exp2(below, out)
    assert (out == np.float32(2.0**-126)).all()


def _prices(world, factor):
    log_price = np.log(factor * world.base_price)[None, :]
    cap = np.array([world.cap_reference.cap(log_price[0])])
    group = np.zeros(world.n_customers, dtype=np.int64)
    offer = retail_gym.kernels.Offer(group, log_price, cap, np.zeros(world.n_customers))
    return offer, make_board(world, pack(world), [offer])


def _bounds(world, board, u):
    """The guard band of every category of one customer, as the decisions have it."""
    packed, cap = pack(world), board.cap[0, 0]
    size = packed.single.size_uj[u].astype(np.float64)
    size += abs(packed.single.price_weight[u]) * board.size[0, 0]
    if not np.isinf(cap):
        size += 6.0 * abs(cap)
    return np.array([passes.guard_band(s, 1.0) for s in size])


@pytest.mark.parametrize("factor", [1.0, 0.5, 1.4])
@pytest.mark.parametrize("name", STORES)
def test_single_precision_keeps_within_the_guard_band(name, factor):
    """Utilities, exponentials and sums of five customers in three weeks.

    The band bounds the relative error of a sum of exponentials: the error of each utility (in
    natural units) and of each sum must lie within it.
    """
    world, week = store(name), 0
    packed, (offer, board) = pack(world), _prices(world, factor)
    cap, n = offer.cap_g[0], world.n_products
    capped, out = not np.isinf(cap), np.empty(world.n_products, dtype=np.float32)
    x, ln2 = packed.feature_coefficients, math.log(2.0)
    scratch = None if packed.single.heads.size == 0 else np.empty((2, n), dtype=np.float32)
    for week in (1, 2, 53):
        for u in np.unique(np.linspace(0, world.n_customers - 1, 5).astype(int)):
            row, key = np.array([u]), rng.stream_key(KEY, week, Stage.NOISE, u)
            mu = utility(world, row, noise_words(world, KEY, week, row), offer.log_price_gi)
            halves = (key.k1[()], key.k2[()])
            common = (*halves, board.price[0, 0], x, board.noise[0, 0], 0, n, scratch, out)
            band = _bounds(world, board, u)
            band_i = np.repeat(band, world.category_sizes)
            passes.utilities(packed.single, u, *common)
            assert (np.abs(out * ln2 + (cap if capped else 0.0) - mu[0]) < band_i).all()
            limited = capped_utility(mu, cap)
            exact = category_value(limited, world.category_sizes)[0]
            if capped:
                passes.exponentials(packed.single, u, *common)
                kept = limited[0] - cap > -87.0  # 2^-126; below it digits are lost, see faint
                error = out.astype(np.float64)[kept] / np.exp(limited[0] - cap)[kept] - 1.0
                assert (np.abs(error) < band_i[kept]).all()
            for j, (a, size) in enumerate(
                zip(world.category_start, world.category_sizes, strict=True)
            ):
                peak = cap
                if not capped:
                    peak = float(passes.exponentials_above(out, a, a + size)) * ln2
                total = float(passes.sum_of(out, a, a + size))
                if total < 1e-30:
                    continue
                error = abs(math.expm1(peak + math.log(total) - exact[j]))
                assert error < band[j], (j, error, band[j])


@pytest.mark.parametrize("name", ["tiny", "small", "market", "scenario", "persistent features"])
def test_category_sums_are_the_models_category_values(name):
    world = store(name)
    packed, (offer, board) = pack(world), _prices(world, 0.8)
    everybody = np.arange(world.n_customers)
    out = np.empty((world.n_customers, world.n_categories), dtype=np.float32)
    stored = packed.single.heads.size == 0
    scratch = None if stored else np.empty((2, world.n_products), dtype=np.float32)
    passes.category_sums(
        packed.single, packed.feature_coefficients, board.noise[0, 0], board.price[0, 0],
        np.uint64(KEY), 7, everybody, scratch, out,
    )  # fmt: skip
    cap = offer.cap_g[0]
    word = noise_words(world, KEY, 7, everybody)
    mu = capped_utility(utility(world, slice(None), word, offer.log_price_gi[0]), cap)
    exact = category_value(mu, world.category_sizes)
    np.testing.assert_allclose(cap + np.log(out.astype(np.float64)), exact, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["small", "market", "persistent features", "calibrated"])
def test_double_precision_elements_are_the_oracles(name):
    """Bit for bit: the same operations in the same order."""
    world, u = store(name), 2
    packed, row = pack(world), np.array([2])
    log_price = np.log(0.7 * world.base_price)
    key = rng.stream_key(KEY, 4, Stage.NOISE, u)
    mu = utility(world, row, noise_words(world, KEY, 4, row), log_price)[0]
    hashed = packed.single.item_hash
    ours = [
        passes.element64(packed.double, u, i, key.k1[()], key.k2[()], hashed[i], log_price[i])
        for i in range(0, world.n_products, 7)
    ]
    assert np.array_equal(ours, mu[::7])
    cap, a = 0.9 * mu.max(), int(world.category_start[1])
    b, out = a + int(world.category_sizes[1]), np.empty(world.category_sizes.max())
    value, total = passes.category64(
        packed.single, packed.double, u, key.k1[()], key.k2[()], log_price, cap, a, b, out
    )
    exact = category_value(np.minimum(mu[None, a:b], cap), [b - a])[0, 0]
    assert value == pytest.approx(exact, rel=1e-14)
    np.testing.assert_allclose(out[: b - a].sum(), total, rtol=1e-13)


@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 31, 32, 33, 64, 511, 512, 881, 26_176])
def test_sums_in_sixteen_lanes(n):
    """Within 1e-5 of the exact sum, whatever lies around the part that is summed."""
    values = np.exp2(np.random.default_rng(n).uniform(-40.0, 0.0, n)).astype(np.float32)
    exact = math.fsum(values.tolist())
    sums = set()
    for before, after in ((0, 0), (1, 17), (16, 3), (7, 64)):
        padded = np.concatenate([np.full(before, np.nan), values, np.full(after, np.inf)]).astype(
            np.float32
        )
        sums.add(float(passes.sum_of(padded, before, before + n)))
    assert len(sums) == 1
    assert sums.pop() == pytest.approx(exact, rel=1e-6 if n < 1000 else 1e-5)
    assert passes.sum_of(values, 0, 0) == 0.0


def test_sums_keep_their_order():
    """Sixteen lanes, folded in halves, then the rest: another order would be other bits."""
    values = np.random.default_rng(0).exponential(1.0, 75).astype(np.float32)
    lanes = np.zeros(16, dtype=np.float32)
    for k in range(0, 64, 16):
        lanes = lanes + values[k : k + 16]
    while lanes.size > 1:
        lanes = lanes[: lanes.size // 2] + lanes[lanes.size // 2 :]
    total = lanes[0]
    for value in values[64:]:
        total = np.float32(total + value)
    assert passes.sum_of(values, 0, 75) == total


def test_choices_are_the_models_or_left_open():
    generator, left = np.random.default_rng(3), 0
    for _ in range(3_000):
        n = int(generator.integers(1, 40))
        mu = generator.normal(0.0, 3.0, n)
        values, uniform = np.exp(mu - mu.max()), generator.random()
        total = float(np.cumsum(values)[-1])
        expected = choose_product(mu, uniform)
        assert passes.choose(values, n, total, uniform, 0.0) == expected
        rough = values.astype(np.float32)
        guarded = passes.choose(rough, n, float(passes.sum_of(rough, 0, n)), uniform, 1e-3)
        assert guarded in (-1, expected)
        left += guarded == -1
        assert passes.choose(rough, n, total, uniform, 1e5) == -1  # all open
    assert 0 < left < 150  # about n * 2e-3 of them


@pytest.mark.parametrize("uniform", [2.0**-33, 0.25, 0.5, 1.0 - 2.0**-33])
def test_a_choice_at_a_tie(uniform):
    """The running sum must exceed the draw; products too unlikely to move it are not chosen."""
    for mu in ([0.0, 0.0, 0.0, 0.0], [0.0, -800.0, 0.0, -800.0], [-800.0, 0.0], [0.0]):
        values = np.exp(np.array(mu) - max(mu))
        total = float(np.cumsum(values)[-1])
        expected = choose_product(mu, uniform)
        assert passes.choose(values, len(mu), total, uniform, 0.0) == expected


def test_poisson_quantiles_are_those_of_rng():
    uniform = np.concatenate([
        np.random.default_rng(1).random(2_000), [2.0**-33, 1 - 2.0**-33, 0.5]
    ])  # fmt: skip
    for rate in (1e-300, 1e-9, 0.01, 0.14, 1.0, 3.7, 12.0, 29.999999):
        ours = [passes.poisson(u, rate) for u in uniform]
        assert np.array_equal(ours, rng.poisson_quantile(uniform, rate))


# --- Promotion -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 9, 2_500])
def test_a_week_of_the_shelf_is_eq_13_to_16(n):
    generator, hashed = np.random.default_rng(n), rng.item_hash(n)
    state = generator.random(n) < 0.5
    for week in range(1, 40):
        keys = [rng.stream_key(KEY, week, s) for s in (Stage.DISCOUNT_STATE, Stage.DISCOUNT_DEPTH)]
        a01, a11 = generator.random((2, n))
        a01[::7], a11[::5] = 0.0, 1.0
        depth = rng.beta_lattice(*generator.choice([(25.0, 75.0), (5.0, 95.0), (12.34, 87.66)]))
        expected_state = discount_state(state, a01, a11, rng.uniform(rng.words(keys[0], hashed)))
        expected = discount(expected_state, depth[rng.byte_sum(rng.words(keys[1], hashed))])
        out, ours = np.full((1, 1, n), np.nan), state[None, None].copy()
        paid, log_paid, base = out.copy(), out.copy(), generator.uniform(1.4, 30.0, n)
        table = np.append(depth, 0.0)[None, None]
        product = np.arange(n, dtype=np.uint16)  # each of its own rank
        laws = Laws(
            np.array([[True]]),
            np.stack([a01, a11])[None, None],
            np.stack([product, product])[None],
            table,
            np.log(1.0 - table),
            ours,
        )
        shelf_weeks(
            hashed, np.array([KEY], dtype=np.uint64), np.array([week]), laws, base, np.log(base),
            1.5, out, paid, log_paid,
        )  # fmt: skip
        assert np.array_equal(ours[0, 0], expected_state)
        assert np.array_equal(out[0, 0], expected)
        assert np.array_equal(paid[0, 0], shelf_price(base, expected, 1.5))
        np.testing.assert_allclose(log_paid, np.log(paid), rtol=0, atol=1e-15)
        state = expected_state
