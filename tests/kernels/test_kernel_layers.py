"""Stores with layers: week for week a literal re-implementation, and what each layer leaves alone.

As in ``test_kernel_literal`` nothing of ``retail_gym.model`` or the kernel is used by the literal
store, only what the world holds and the addresses and laws of ``retail_gym.rng``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import gymnasium as gym
import numpy as np
import pytest

import retail_gym
from retail_gym import rng
from retail_gym.kernels import KERNELS, make_kernel, supports
from retail_gym.kernels.numba_cpu import NumbaKernel
from retail_gym.kernels.reference import ReferenceKernel
from retail_gym.rng import Stage
from retail_gym.simulator import Simulator
from retail_gym.world.layers import (
    AssortmentLayer,
    AvailabilityLayer,
    BasketLayer,
    CatalogLayer,
    HabitLayer,
    Layers,
    QuantityLayer,
    VisitLayer,
)
from retail_gym.world.priors import Laplace, LogitBeta, Normal, Uniform

KEY = 987_654_321

ALL = Layers(
    visit=VisitLayer(LogitBeta(1.5, 1.0), 0.8, 0.9, 0.3, 0.6),
    basket=BasketLayer(
        0.6, 0.5, 0.7, 0.3, 0.4, 1.5, 2, Laplace(0, 0.6), Normal(0, 0.4), 0.5, 0.3, True
    ),
    assortment=AssortmentLayer(Normal(-0.3, 0.5), 0.6, 0.3),
    quantity=QuantityLayer(0.7, 0.6, pairs=0.4),
    habit=HabitLayer(0.5, 3),
    availability=AvailabilityLayer(0.7, 2, 6, 9),
)
NAMES = ("visit", "basket", "assortment", "quantity", "habit", "availability")


def only(*names):
    return Layers(**{name: getattr(ALL, name) for name in names})


def uniform(week, stage, customer, item):
    key = rng.stream_key(KEY, week, stage, customer)
    return float(rng.uniform(rng.words(key, rng.item_hash([item])))[0])


def normal(week, stage, customer, item):
    return NormalDist().inv_cdf(uniform(week, stage, customer, item))


def count(draw, mean, size):
    """Smallest n with F(n) >= draw of a Poisson (size None) or negative binomial law."""
    term = math.exp(-mean) if size is None else (size / (size + mean)) ** size
    n, total = 0, term
    while total < draw:
        n += 1
        if size is None:
            term *= mean / n
        else:
            term *= (n - 1 + size) / n * mean / (size + mean)
        total += term
    return n


class LiteralStore:
    """One customer, one category and one product at a time."""

    def __init__(self, world):
        self.world, self.layers, self.on = world, world.layers, world.layers.config
        self.week, u = 0, world.n_customers
        self.visited, self.value, self.probability = [False] * u, [0.0] * u, [1.0] * u
        self.drift = [0.0] * u
        self.past = {}  # (customer, category) -> products bought, newest first

    def cap(self, price):
        reference = self.world.cap_reference
        sample = zip(reference.product, reference.level, reference.slope, strict=True)
        utilities = [a + b * math.log(price[i]) for i, a, b in sample]
        return float(np.percentile(utilities, reference.percentile))

    def visit_probability(self, u, price):
        world, layer = self.world, self.on.visit
        if self.week == 1 and layer is None:
            return 1.0
        off = sum(1 - p / b for p, b in zip(price, world.base_price, strict=True)) / len(price)
        mu = world.gamma_store_0 + world.gamma_store_2 * world.marketing_scale * off
        if self.visited[u]:
            mu += world.gamma_store_1 * self.value[u]
        if layer is not None:
            shock = layer.drift_sd * normal(self.week, Stage.DRIFT, u, 0)
            if self.week == 1:
                self.drift[u] = shock
            else:
                memory = layer.drift_memory
                self.drift[u] = memory * self.drift[u] + math.sqrt(1 - memory**2) * shock
            mu += self.layers.visit_u[u] + self.drift[u]
            mu += layer.week_sd * normal(self.week, Stage.WEEK, 0, 0)
        s = 1 / (1 + math.exp(-mu))
        if self.week == 1:
            return layer.opening * s
        theta = float(world.theta[u])
        return (1 - theta) * s + theta * self.probability[u]

    def offered(self, i):
        if self.on.availability is None:
            return True
        since = (self.week - self.layers.window_start_i[i]) % self.on.availability.cycle
        return since < self.layers.window_weeks_i[i]

    def utility(self, u, i, price, cap):
        world = self.world
        key = rng.stream_key(KEY, self.week, Stage.NOISE, u)
        draw = rng.words(key, rng.item_hash([i]))
        x = float(rng.resampled_feature(draw)[0])
        eps = world.eps_loc + world.eps_scale * float(rng.gumbel(rng.second_word(draw))[0])
        beta_w = world.c * float(world.beta_u[u]) * float(world.beta_i[i])
        mu = float(world.beta_x[u, i]) * x + float(world.beta_z[u, i]) * float(world.z[i])
        return min(mu + beta_w * math.log(price[i]) + eps, cap)

    def trip(self, u, price, cap):
        world, on, layers, lines = self.world, self.on, self.layers, []
        size, effect = 0.0, [0.0] * world.n_categories
        if on.basket is not None:
            size = on.basket.trip_sd * normal(self.week, Stage.TRIP, u, 0)
            if uniform(self.week, Stage.TRIP, u, 1) < layers.fill_in_u[u]:
                size -= on.basket.fill_in_depth
            for j in range(world.n_categories):
                effect[j] = float(layers.household_uj[u, j]) + size
                for k in range(on.basket.factors):
                    mu = layers.trip_loading_jk[j, k]
                    effect[j] += mu * normal(self.week, Stage.TRIP, u, 2 + k) - mu * mu / 2
            size += layers.size_u[u]
        first, store, chance, shelves = 0, 0.0, [], []
        for j, n in enumerate(world.category_sizes.tolist()):
            shelf = {i: self.utility(u, i, price, cap) for i in range(first, first + n)}
            shelf = {i: mu for i, mu in shelf.items() if self.offered(i)}
            first += n
            total = sum(math.exp(mu) for mu in shelf.values())
            store += total
            logit = world.gamma_cate_0[j] + world.gamma_cate_1[j] * math.log(total) + effect[j]
            chance.append(1 / (1 + math.exp(-logit)))
            shelves.append(shelf)
        bought = [
            j for j in range(world.n_categories)
            if uniform(self.week, Stage.CATEGORY, u, j) < chance[j]
        ]  # fmt: skip
        if on.basket is not None and on.basket.something and not bought:
            odds = [p / (1 - p) for p in chance]
            left, j = uniform(self.week, Stage.SOMETHING, u, 0) * sum(odds), 0
            while left >= odds[j]:
                left -= odds[j]
                j += 1
            bought = [j]
        for j in bought:
            wanted = 1
            if on.assortment is not None:
                rate = layers.further_j[j] * math.exp(on.assortment.basket_weight * size)
                wanted += count(uniform(self.week, Stage.FURTHER, u, j), rate, on.assortment.size)
            known, basket = list(self.past.get((u, j), [])), []
            for k in range(min(wanted, int(world.category_sizes[j]))):
                left = {i: math.exp(mu) for i, mu in shelves[j].items() if i not in basket}
                if not left:
                    break
                chosen = None
                if on.habit is not None and known:
                    draw = uniform(self.week, Stage.HABIT, u, 64 * j + k)
                    if draw < on.habit.repeat:
                        again = known[int(draw / on.habit.repeat * len(known))]
                        chosen = again if again in left else None
                if chosen is None:
                    stage, item = (
                        (Stage.PRODUCT, j) if k == 0 else (Stage.FURTHER_PRODUCT, 64 * j + k)
                    )
                    rest = uniform(self.week, stage, u, item) * sum(left.values())
                    for i, weight in left.items():
                        chosen, rest = i, rest - weight
                        if rest < 0:
                            break
                basket.append(chosen)
                if on.habit is not None:
                    self.past[u, j] = [chosen, *self.past.get((u, j), [])][: on.habit.memory]
                rate = math.exp(
                    float(world.gamma_prod_0[chosen])
                    + float(world.gamma_prod_1[u, chosen]) * shelves[j][chosen]
                )
                stage, item = (
                    (Stage.QUANTITY, j) if k == 0 else (Stage.FURTHER_QUANTITY, 64 * j + k)
                )
                draw, law = uniform(self.week, stage, u, item), None
                if on.quantity is not None:
                    rate, law = rate * float(layers.quantity_u[u]), on.quantity.size
                units = 1 + count(draw, rate, law)
                if on.quantity is not None and units in range(3, 10_000, 2):
                    units -= uniform(self.week, Stage.PAIR, u, 64 * j + k) < on.quantity.pairs
                lines.append((u, j, chosen, units))
        return lines, math.log(store)

    def step(self, price):
        self.week += 1
        cap = self.cap(price)
        people = range(self.world.n_customers)
        self.probability = [self.visit_probability(u, price) for u in people]
        self.visited = [uniform(self.week, Stage.VISIT, u, 0) < self.probability[u] for u in people]
        trips = [self.trip(u, price, cap) if self.visited[u] else ([], 0.0) for u in people]
        self.value = [value for _, value in trips]
        return [line for lines, _ in trips for line in lines]


def store(layers, **settings):
    base = {"category_shift": 4.5, "gamma_store_0": -0.5, "category_sizes": (6, 4, 3, 1)}
    return retail_gym.make_world("tiny", 0, layers=layers, **(base | settings))


CASES = {
    **{name: {"layers": only(name)} for name in NAMES},
    "all": {"layers": ALL},
    "all, inertia": {"layers": ALL, "theta": Uniform(0.2, 0.5), "gamma_prod_0": 0.3},
    "all, no trip without a purchase": {
        "layers": replace(ALL, basket=replace(ALL.basket, something=False)),
        "category_shift": 3.0,
    },
    "small baskets": {"layers": ALL, "category_shift": 0.0},
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("case", CASES)
def test_80_weeks_are_exactly_the_literal_ones(case, kernel):
    world = store(**CASES[case])
    simulator, literal = Simulator(world, KEY, kernel=kernel), LiteralStore(world)
    generator = np.random.default_rng(0)
    sold = several = 0
    for week in range(1, 81):
        off = np.where(generator.random(14) < 0.5, 0.5 * generator.random(14), 0.0)
        prices = (1 - off) * world.base_price
        outcome = simulator.step(prices)
        expected = literal.step(prices.tolist())
        lines = outcome.lines
        columns = (lines.customer, lines.category, lines.product, lines.quantity)
        found = zip(*(column.tolist() for column in columns), strict=True)
        assert list(found) == expected, f"week {week}"
        assert outcome.visited.tolist() == literal.visited
        memory = simulator.memory
        assert memory.visit_probability.tolist() == pytest.approx(literal.probability, rel=1e-9)
        assert memory.store_value.tolist() == pytest.approx(literal.value, rel=1e-9, abs=1e-12)
        sold += len(expected)
        several += len(expected) - outcome.categories
        basket = world.layers.config.basket
        if basket is not None and basket.something:
            assert outcome.buyers == outcome.visited.sum()
    assert sold > 80  # the comparison is about something
    assert (several > 30) == (world.layers.config.assortment is not None)
    if world.layers.config.habit is not None:
        assert (simulator.memory.recent >= 0).all(axis=2).any()  # somebody's memory is full


NEUTRAL = {
    "none": Layers(),
    "basket": Layers(basket=BasketLayer()),
    "assortment": Layers(assortment=AssortmentLayer(log_rate=-60.0)),
    "habit": Layers(habit=HabitLayer(0.0)),
    "availability": Layers(availability=AvailabilityLayer(0.0)),
    "all": Layers(
        basket=BasketLayer(factors=2),
        assortment=AssortmentLayer(-60.0),
        habit=HabitLayer(0.0),
        availability=AvailabilityLayer(0.0),
    ),
}


@pytest.mark.parametrize("case", NEUTRAL)
def test_a_layer_without_effect_leaves_every_line_alone(case):
    plain, layered = store(None), store(NEUTRAL[case])
    a, b = Simulator(plain, 5), Simulator(layered, 5)
    sold = 0
    for _ in range(30):
        ours, theirs = a.step(0.8 * plain.base_price), b.step(0.8 * plain.base_price)
        for name in ("customer", "category", "product", "quantity"):
            assert np.array_equal(getattr(ours.lines, name), getattr(theirs.lines, name)), name
        assert np.array_equal(ours.visited, theirs.visited)
        sold += ours.units
    assert sold > 100
    assert plain.reward_scale == pytest.approx(layered.reward_scale, rel=1e-12)


def test_a_visit_layer_without_effect_changes_the_first_week_only():
    plain, layered = (
        store(None, gamma_store_1=0.0),
        store(Layers(visit=VisitLayer()), gamma_store_1=0.0),
    )
    a, b = Simulator(plain, 5), Simulator(layered, 5)
    first = a.step(plain.base_price), b.step(plain.base_price)
    assert first[0].visited.all()
    assert not first[1].visited.all()
    for _ in range(20):
        ours, theirs = a.step(plain.base_price), b.step(plain.base_price)
        assert np.array_equal(ours.lines.product, theirs.lines.product)
        assert np.array_equal(ours.visited, theirs.visited)


@pytest.mark.parametrize("layer", ["assortment", "quantity", "habit"])
def test_later_stages_do_not_move_visits_and_categories(layer):
    plain, layered = store(None, gamma_store_1=0.0), store(only(layer), gamma_store_1=0.0)
    a, b = Simulator(plain, 5), Simulator(layered, 5)
    differs = False
    for _ in range(20):
        ours, theirs = a.step(plain.base_price), b.step(plain.base_price)
        assert np.array_equal(ours.visited, theirs.visited)
        assert ours.categories == theirs.categories
        first = theirs.first_of_category
        assert np.array_equal(ours.lines.category, theirs.lines.category[first])
        if layer != "habit":  # the first product of each category is the paper's
            assert np.array_equal(ours.lines.product, theirs.lines.product[first])
        differs |= ours.units != theirs.units or not np.array_equal(
            ours.lines.product, theirs.lines.product
        )
    assert differs


def test_more_customers_change_no_one_s_weeks():
    layers = replace(ALL, catalog=CatalogLayer(Normal(0.0, 1.0), price_product_sd=0.3))
    few, many = store(layers), store(layers, n_customers=40)
    for name in ("visit_u", "size_u", "fill_in_u", "household_uj", "quantity_u"):
        ours, theirs = getattr(few.layers, name), getattr(many.layers, name)
        assert np.array_equal(ours, theirs[:5]), name
        assert np.unique(theirs, axis=0).shape[0] == 40, name
    a, b = Simulator(few, 7), Simulator(many, 7)
    sold = 0
    for _ in range(30):
        small, large = a.step(few.base_price), b.step(few.base_price)
        first = large.lines.customer < 5
        for name in ("customer", "category", "product", "quantity"):
            assert np.array_equal(getattr(small.lines, name), getattr(large.lines, name)[first])
        sold += small.units
    assert sold > 100


def test_snapshots_hold_the_memory_of_drift_and_products():
    world = store(ALL)
    simulator = Simulator(world, 3)
    for _ in range(5):
        simulator.step(world.base_price)
    kept = simulator.snapshot()
    before = kept.memory.recent.copy(), kept.memory.drift.copy()
    first = [simulator.step(world.base_price).lines for _ in range(6)]
    assert np.array_equal(kept.memory.recent, before[0])
    assert np.array_equal(kept.memory.drift, before[1])
    simulator.restore(kept)
    for lines in first:
        again = simulator.step(world.base_price).lines
        assert np.array_equal(again.product, lines.product)
        assert np.array_equal(again.quantity, lines.quantity)


class Paper(NumbaKernel):
    """A kernel that knows the paper's model only."""

    name = "paper"

    def supports(self, world):
        return world.layers is None


def test_kernels_and_the_layers_they_know():
    world, plain, catalog = store(ALL), store(None), store(Layers(catalog=CatalogLayer(0.0)))
    for kernel in (ReferenceKernel(), NumbaKernel()):
        assert supports(kernel, world)
        assert supports(kernel, plain)
        assert Simulator(world, 3, kernel=kernel).kernel is kernel
    assert isinstance(make_kernel(None, world), NumbaKernel)
    assert isinstance(make_kernel("reference", world), ReferenceKernel)
    assert make_kernel(Paper(), plain).name == "paper"
    with pytest.raises(ValueError, match=r"'paper' does not know the layers.*'reference'"):
        Simulator(catalog, 3, kernel=Paper())


def test_a_week_with_layers_follows_one_with_layers():
    world = store(ALL)
    simulator, plain = Simulator(world, 3), Simulator(store(None), 3)
    plain.step(world.base_price)
    simulator.restore(plain.snapshot())
    with pytest.raises(ValueError, match="follows a week with layers"):
        simulator.step(world.base_price)
    fresh = Simulator(world, 3)
    fresh.step(world.base_price)
    assert fresh.memory.layered


def test_environments_of_a_store_with_layers_agree():
    world = store(ALL)
    many = gym.make_vec(
        "RetailSynth-v0", num_envs=2, vectorization_mode="vector_entry_point", preset=world,
        horizon=6,
    )  # fmt: skip
    ones = [gym.make("RetailSynth-v0", preset=world, horizon=6) for _ in range(2)]
    seen, _ = many.reset(seed=4)
    own = [env.reset(seed=4 + k)[0] for k, env in enumerate(ones)]
    assert np.array_equal(seen, own)
    action = np.array([0.3, 0.5], dtype=np.float32)
    for _ in range(6):
        seen, reward, *_ = many.step(np.stack([action, action]))
        results = [env.step(action) for env in ones]
        assert np.array_equal(seen, [result[0] for result in results])
        assert reward.tolist() == [result[1] for result in results]
        assert (seen <= many.single_observation_space.high).all()


def test_agents_see_categories_not_lines_by_segment():
    world = store(only("assortment"), n_customers=12)
    env = gym.make("RetailSynth-v0", preset=world, horizon=6, segments=2).unwrapped
    env.reset(seed=1)
    more = 0
    for _ in range(6):
        seen = env.step(np.array([0.3, 0.5, 0.2, 0.4], dtype=np.float32))[0]
        lines = env.outcome.lines
        for s, members in enumerate(env.segments):
            here = np.isin(lines.customer, members)
            pairs = set(
                zip(lines.customer[here].tolist(), lines.category[here].tolist(), strict=True)
            )
            buyers = len(set(lines.customer[here].tolist()))
            named = dict(zip(env.observation_names, seen.tolist(), strict=True))
            got = named[f"segment_{s + 1}.categories_per_buyer"]
            assert got == pytest.approx(len(pairs) / max(buyers, 1), rel=1e-6)
            more += here.sum() - len(pairs)
    assert more > 10
