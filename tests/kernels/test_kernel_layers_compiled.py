"""The compiled kernel decides in stores with layers as the reference does: everything, everywhere.

Simulators walk side by side through changing prices, two segments priced apart, some weeks with
coupons: the reference, the compiled kernel, and the compiled kernel with a guard band so wide
that nearly everything is taken again in double precision. Fixed seeds; nothing is timed.
"""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import retail_gym
from retail_gym import rng
from retail_gym.counts import negative_binomial_quantile
from retail_gym.kernels import households, layer_pack, layer_passes, make_kernel
from retail_gym.kernels.layer_pack import shelf_of_week
from retail_gym.kernels.memory import make_board
from retail_gym.kernels.numba_cpu import NumbaKernel
from retail_gym.kernels.packed import pack
from retail_gym.kernels.reference import ReferenceKernel
from retail_gym.model.category_choice import category_value
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
from retail_gym.world.noise import noise_words, utility
from retail_gym.world.presets.complete_journey import config as complete_journey
from retail_gym.world.priors import Gumbel, Laplace, LogitBeta, Normal, Uniform
from retail_gym.world.trip import offered

FIELDS = ("customer", "category", "product", "quantity")
ALL = Layers(
    visit=VisitLayer(LogitBeta(1.5, 1.0), 0.8, 0.9, 0.3, 0.6),
    basket=BasketLayer(
        0.6, 0.5, 0.7, 0.3, 0.4, 1.5, 3, Laplace(0, 0.6), Normal(0, 0.4), 0.5, 0.3, True
    ),
    assortment=AssortmentLayer(Normal(-0.3, 0.5), 0.6, 0.3),
    quantity=QuantityLayer(0.7, 0.6, pairs=0.4),
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
    "loud noise": {"eps": Gumbel(-1.0, 3.0)},
    "one rules": {"beta_x": 0.0, "beta_z": 40.0},
}  # fmt: skip


@pytest.mark.parametrize("case", STORES)
def test_decisions_are_those_of_the_reference(case):
    world = store(**STORES[case])
    sold, several, walkers = walk(world, 25)
    assert (sold > 150) == (case != "nothing is")
    if world.layers.config.assortment is not None and case != "nothing is":
        assert several > 20
    plain = walkers[1].kernel.counts
    if sold and world.gamma_store_1 == 0.0:
        assert plain[3] < 0.2 * plain[2] + 30  # the guard is narrow
    assert np.array_equal(walkers[0].memory.store_value > 0, walkers[1].memory.store_value > 0)
    assert np.allclose(walkers[0].memory.store_value, walkers[1].memory.store_value, rtol=1e-9)


def test_the_complete_journey_store_sells_the_same():
    sold = 0
    for seed in (0, 1):
        world = retail_gym.make_world(complete_journey().override(n_customers=40), seed)
        lines, several, walkers = walk(world, 5, key=seed + 3, coupons=False)
        sold += lines
        assert several > 100
        assert walkers[1].kernel.counts[2] < 5 * 40 * 40  # the bounds are near: not all 302 each
    assert sold > 2_000


RANDOM = 30


@pytest.mark.parametrize("seed", range(RANDOM))
def test_stores_with_layers_at_random(seed):
    """Each layer in two of three stores, its numbers drawn; sizes, caps, values of any sign."""
    draw = np.random.default_rng(10_000 + seed)

    def some(low, high):
        return float(draw.uniform(low, high))

    layers = Layers(
        visit=VisitLayer(Normal(some(-1, 2), some(0, 2)), some(0, 1.5), some(0, 0.99), some(0, 1)),
        basket=BasketLayer(
            some(0, 2), some(-1, 1), some(0, 2), some(0, 1), some(0, 2), some(-2, 3),
            factors=(k := int(draw.integers(0, 6))), taste_loading=Laplace(0.0, some(0.1, 1)),
            trip_loading=(Normal(0.0, some(0, 1)),) * k, affinity_sd=some(0, 2),
            affinity_spread=some(0, 1), something=bool(draw.integers(2)),
        ),
        assortment=AssortmentLayer(Normal(some(-3, 2), 1.0), 10 ** some(-2, 2), some(-1, 1)),
        quantity=QuantityLayer(10 ** some(-2, 2), some(0, 2), pairs=some(0, 1)),
        habit=HabitLayer(some(0, 1), int(draw.integers(1, 20))),
        availability=AvailabilityLayer(some(0, 1), 1, 5, 8),
    )  # fmt: skip
    off = {name: None for name in NAMES if draw.random() < 1 / 3}
    world = store(
        replace(layers, **off),
        seed=seed,
        memory_gib=float(draw.choice([0.0, 4.0])),
        category_sizes=tuple(int(n) for n in 1 + draw.geometric(0.03, int(draw.integers(3, 12)))),
        category_shift=some(-4, 8),
        gamma_cate_1=Normal(some(-0.1, 0.8), 0.2),
        clip_percentile=float(draw.choice([60.0, 95.0, 100.0])),
        gamma_store_1=float(draw.choice([0.0, 0.0, 0.3])),
        theta=float(draw.choice([0.0, 0.4])),
        features=str(draw.choice(["resampled", "persistent"])),
        n_customers=int(draw.integers(1, 30)),
        **({"beta_x": 0.0, "beta_z": 1.0, "gamma_prod_1": 0.1} if seed % 3 == 0 else {}),
    )
    if world.n_customers == 1:
        walkers = [Simulator(world, 5, None, kernel) for kernel in ("reference", "numba")]
        for week in range(12):
            first, second = (walker.step(0.9 * world.base_price) for walker in walkers)
            same_week(second, first, week)
    else:
        walk(world, 12)


@pytest.mark.parametrize("alike", [True, False])
def test_no_category_value_is_above_its_bound(alike):
    settings = {"beta_z": 1.0, "gamma_prod_1": 0.2} if alike else {}
    world = store(eps=Gumbel(0.2, 0.02), beta_x=0.0, **settings)
    simulator = Simulator(world, 9)
    generator = np.random.default_rng(3)
    closest = np.inf
    for week in range(1, 13):
        off = np.where(generator.random(world.n_products) < 0.5, 0.7, -0.2 * (week % 3 == 0))
        price = (1 - off) * world.base_price
        offer = simulator.request(price[None], np.log(price)[None], np.array([np.inf]), off[None], None).offer  # fmt: skip
        board = make_board(world, pack(world), [offer])
        shelf = shelf_of_week(world, board, week)
        assert (shelf.bounds.step > 0) == alike
        everybody = np.arange(world.n_customers)
        word = noise_words(world, 5, week, everybody)
        mu = utility(world, everybody, word, np.log(price))
        mu = np.where(offered(world, week), mu, -np.inf)
        value = np.log2(np.e) * world.gamma_cate_1 * category_value(mu, world.category_sizes)
        for u in everybody:
            gap = (bounds_of(world, shelf, u) - value[u]) / world.gamma_cate_1
            assert (gap > 0).all()
            closest = min(closest, gap.min())
    assert closest < 0.5  # log2 units: no more than the noise can do, where nothing else does


def bounds_of(world, shelf, u):
    """The bounds on a customer's category values, as ``open_categories`` reads them."""
    bounds, weight = shelf.bounds, float(shelf.single.price_weight[u])
    rise = np.maximum(weight * bounds.high[0], weight * bounds.low[0])
    if bounds.step == 0:
        return bounds.value[0, u] + world.gamma_cate_1 * rise
    points = bounds.lowest + bounds.step * np.arange(bounds.value.shape[1])
    return np.array([np.interp(weight, points, table) for table in bounds.value[0].T])


def test_a_bound_too_low_would_be_seen(monkeypatch):
    world = store(category_shift=1.0)
    honest = layer_pack.shelf_of_week

    def too_low(*args):
        shelf = honest(*args)
        return shelf._replace(bounds=shelf.bounds._replace(value=shelf.bounds.value - 4.0))

    monkeypatch.setattr(households, "shelf_of_week", too_low)
    with pytest.raises(AssertionError):
        walk(world, 12)


def test_negative_binomial_counts_are_the_oracle_s():
    generator = np.random.default_rng(4)
    n = 20_000
    uniform = (generator.integers(0, 2**32, n) + 0.5) * 2.0**-32
    uniform[:4] = 2.0**-33, 1 - 2.0**-33, 0.5, 1 - 2.0**-33
    for size in (1e-3, 0.1, 0.8, 3.0, 1e3, 1e6):
        mean = np.exp(generator.normal(0.0, 3.0, n))
        expected = negative_binomial_quantile(uniform, mean, size)
        ours = [layer_passes.negative_binomial(u, m, size) for u, m in zip(uniform, mean, strict=True)]  # fmt: skip
        assert np.array_equal(ours, expected), size
    for mean in (0.0, np.inf, 1e300):
        with np.errstate(invalid="ignore", over="ignore"):
            expected = negative_binomial_quantile(uniform[:9], np.full(9, mean), 0.5)
        assert [layer_passes.negative_binomial(u, mean, 0.5) for u in uniform[:9]] == expected.tolist()  # fmt: skip


def test_item_hashes_are_the_generator_s():
    items = np.array([0, 1, 63, 64, 64 * 302 + 17, 2**31 - 1])
    assert [layer_passes.item_hash(int(i)) for i in items] == rng.item_hash(items).tolist()


@pytest.mark.parametrize("first", ["reference", "numba"])
@pytest.mark.parametrize("case", ["all", "visits by store value, inertia, capped"])
def test_a_week_of_one_kernel_follows_one_of_the_other(first, case):
    world = store(**STORES[case])
    other = {"reference": "numba", "numba": "reference"}[first]
    one, two = Simulator(world, 3, kernel=first), Simulator(world, 3, kernel=other)
    for week in range(14):
        same_week(one.step(0.9 * world.base_price), two.step(0.9 * world.base_price), week)
        if week % 3 == 2:  # each goes on from where the other is
            states = one.snapshot(), two.snapshot()
            one.restore(states[1])
            two.restore(states[0])


def test_snapshots_branch_and_old_weeks_stay_as_they_were():
    world = store(n_customers=12)
    walkers = [Simulator(world, 3, kernel=kernel) for kernel in ("reference", "numba")]
    kept = [[], []]
    generator = np.random.default_rng(0)
    for week in range(40):
        if week % 4 == 3:  # back to any week before
            back = int(generator.integers(len(kept[0])))
            for walker, states in zip(walkers, kept, strict=True):
                walker.restore(states[back])
        price = world.base_price * (0.6 if generator.random() < 0.5 else 1.0)
        same_week(*(walker.step(price) for walker in reversed(walkers)), week)
        for walker, states in zip(walkers, kept, strict=True):
            states.append(walker.snapshot())
    for ours, theirs in zip(*kept, strict=True):
        assert np.array_equal(ours.memory.recent, theirs.memory.recent)
        assert np.array_equal(ours.memory.drift, theirs.memory.drift)


def test_memories_can_be_pickled():
    world = store()
    simulator = Simulator(world, 3)
    for _ in range(4):
        simulator.step(world.base_price)
    again = pickle.loads(pickle.dumps(simulator.memory.habits))
    assert np.array_equal(again.places(), simulator.memory.recent)
    assert (again.places() >= 0).any()


def test_threads_share_one_snapshot():
    world = store(n_customers=60)
    start = Simulator(world, 3)
    for _ in range(5):
        start.step(world.base_price)
    state = start.snapshot()
    before = state.memory.recent

    def branch(number):
        simulator = Simulator(world, 3, kernel=NumbaKernel(threads=1))
        simulator.restore(state)
        price = (1 - 0.1 * (number % 3)) * world.base_price
        return [simulator.step(price).lines.product for _ in range(8)]

    expected = [branch(number) for number in range(3)]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(branch, range(24)))
    for number, weeks in enumerate(found):
        for ours, theirs in zip(weeks, expected[number % 3], strict=True):
            assert np.array_equal(ours, theirs)
    assert np.array_equal(state.memory.recent, before)


@pytest.mark.parametrize("gamma_store_1", [0.0, 0.3])
def test_threads_change_nothing(gamma_store_1):
    world = store(n_customers=3_000, category_sizes=(6, 4, 9), gamma_store_1=gamma_store_1)
    walkers = [Simulator(world, 8, kernel=NumbaKernel(threads=n)) for n in (1, 2, 3)]
    for week in range(4):
        first, *others = (walker.step(0.8 * world.base_price) for walker in walkers)
        for other in others:
            same_week(other, first, week)
    values = [walker.memory.store_value for walker in walkers]
    assert np.array_equal(values[0], values[2])


@pytest.mark.parametrize("threads", [1, 3])
def test_vectors_of_stores_with_layers(threads):
    world = store(n_customers=10)
    many = gym.make_vec(
        "RetailSynth-v0", num_envs=3, vectorization_mode="vector_entry_point", preset=world,
        horizon=5, threads=threads,
    )  # fmt: skip
    ones = [
        gym.make("RetailSynth-v0", preset=world, horizon=5, kernel="reference") for _ in range(3)
    ]
    many.reset(seed=4)
    for k, env in enumerate(ones):
        env.reset(seed=4 + k)
    actions = np.random.default_rng(0).uniform(0, 0.5, (5, 3, 2)).astype(np.float32)
    for action in actions:
        seen, reward, *_ = many.step(action)
        results = [env.step(row) for env, row in zip(ones, action, strict=True)]
        assert np.allclose(seen, [result[0] for result in results], rtol=1e-6)
        assert np.allclose(reward, [result[1] for result in results], rtol=1e-9)


def test_large_rates_of_poisson_quantities():
    world = store(only("assortment"), gamma_prod_0=4.5, n_customers=8)
    sold, _, walkers = walk(world, 6)
    assert sold > 50
    assert (walkers[1].step(world.base_price).lines.quantity > 30).any()


def test_a_kernel_made_for_the_store_is_the_compiled_one():
    assert isinstance(make_kernel(None, store()), NumbaKernel)
