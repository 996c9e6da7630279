"""The kernel against a second implementation: one week in plain loops from the paper's equations.

Nothing of ``retail_gym.model`` or the kernel is used here, only the addresses and laws of
``retail_gym.rng``. Decisions must be the same ones, for 200 weeks of changing prices.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import retail_gym
from retail_gym import rng
from retail_gym.kernels import KERNELS
from retail_gym.rng import Stage
from retail_gym.simulator import Simulator
from retail_gym.world.priors import Uniform

KEY = 123_456_789_012_345


def word(week, stage, customer, item):
    return rng.words(rng.stream_key(KEY, week, stage, customer), rng.item_hash([item]))


def uniform(week, stage, customer, item):
    return float(rng.uniform(word(week, stage, customer, item))[0])


def percentile(values, percent):
    ordered = sorted(values)
    place = percent / 100 * (len(ordered) - 1)
    low = int(place)
    return ordered[low] + (place - low) * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])


class LiteralStore:
    """The store of the paper's section 3, one customer and one product at a time."""

    def __init__(self, world):
        self.world = world
        self.week = 0
        u = world.n_customers
        self.visited, self.value, self.coupon = [False] * u, [0.0] * u, [0.0] * u
        self.probability = [1.0] * u

    def cap(self, price):
        reference = self.world.cap_reference
        if reference.percentile == 100:
            return math.inf
        sample = zip(reference.product, reference.level, reference.slope, strict=True)
        return percentile([a + b * math.log(price[i]) for i, a, b in sample], reference.percentile)

    def marketing(self, u, shelf):
        world = self.world
        if world.marketing == "noise":
            return float(rng.resampled_feature(word(self.week, Stage.MARKETING, u, 0))[0])
        mean = sum(1 - p / b for p, b in zip(shelf, world.base_price, strict=True)) / len(shelf)
        if world.marketing == "coupon":
            mean += self.coupon[u]
        return world.marketing_scale * mean  # eq. 19

    def visit_probability(self, u, shelf):
        world = self.world
        if self.week == 1:
            return 1.0
        mu = world.gamma_store_0 + world.gamma_store_2 * self.marketing(u, shelf)  # eq. 11
        if self.visited[u]:
            mu += world.gamma_store_1 * self.value[u]
        s = 1 / (1 + math.exp(-mu))  # eq. 12
        theta = float(world.theta[u])
        return (1 - theta) * s + theta * self.probability[u]  # eq. 10

    def utility(self, u, i, paid, cap):
        world = self.world
        draw = word(self.week, Stage.NOISE, u, i)
        if world.feature_mean is None:
            x = float(rng.resampled_feature(draw)[0])
        else:
            normal = float(rng.normal(draw)[0])
            x = float(world.feature_mean[u, i]) + float(world.feature_scale[u, i]) * normal
        eps = world.eps_loc + world.eps_scale * float(rng.gumbel(rng.second_word(draw))[0])
        beta_w = world.c * float(world.beta_u[u]) * float(world.beta_i[i])  # eq. 18
        mu = (
            float(world.beta_x[u, i]) * x
            + float(world.beta_z[u, i]) * float(world.z[i])
            + beta_w * math.log(paid)
            + eps
        )  # eq. 17
        return min(mu, cap)

    def step(self, shelf_of, coupon):
        """Lines (customer, category, product, quantity, unit price) of one week."""
        self.week += 1
        world, lines = self.world, []
        probability = [self.visit_probability(u, shelf_of[u]) for u in range(world.n_customers)]
        visited, value = [], []
        caps = {}
        for u in range(world.n_customers):
            here = uniform(self.week, Stage.VISIT, u, 0) < probability[u]
            visited.append(here)
            value.append(0.0)
            if not here:
                continue
            paid = [(1 - coupon[u]) * p for p in shelf_of[u]]
            if tuple(paid) not in caps:
                caps[tuple(paid)] = self.cap(paid)
            cap, store, first = caps[tuple(paid)], 0.0, 0
            for j, size in enumerate(world.category_sizes.tolist()):
                items = range(first, first + size)
                first += size
                mu = [self.utility(u, i, paid[i], cap) for i in items]
                total = sum(math.exp(m) for m in mu)
                store += total
                logit = world.gamma_cate_0[j] + world.gamma_cate_1[j] * math.log(total)  # eq. 7, 9
                if not uniform(self.week, Stage.CATEGORY, u, j) < 1 / (1 + math.exp(-logit)):
                    continue
                draw, below, choice = uniform(self.week, Stage.PRODUCT, u, j), 0.0, 0
                for k, m in enumerate(mu):  # eq. 4
                    below += math.exp(m) / total
                    choice = k
                    if below > draw:
                        break
                i = items[choice]
                rate = math.exp(
                    float(world.gamma_prod_0[i]) + float(world.gamma_prod_1[u, i]) * mu[choice]
                )  # eq. 5
                draw, n = uniform(self.week, Stage.QUANTITY, u, j), 0
                mass = cumulative = math.exp(-rate)
                while cumulative < draw:  # eq. 6
                    n += 1
                    mass *= rate / n
                    cumulative += mass
                lines.append((u, j, i, 1 + n, paid[i]))
            value[u] = math.log(store)
        self.visited, self.value, self.probability = visited, value, probability
        self.coupon = list(coupon)
        return lines


STORES = {
    "tiny": {"preset": "tiny"},
    "theta, persistent features": {
        "preset": "tiny", "theta": Uniform(0.25, 0.45), "features": "persistent", "seed": 1,
        "gamma_prod_0": 0.5,
    },
    "random marketing, no cap": {
        "preset": "tiny", "marketing": "noise", "gamma_store_2": 0.8, "clip_percentile": 100,
        "theta": 0.3, "gamma_store_0": 0.0,
    },
    "a low cap": {"preset": "tiny", "clip_percentile": 60, "seed": 2},
    "coupon marketing, coupons": {
        "preset": "tiny", "marketing": "coupon", "theta": Uniform(0.25, 0.45), "seed": 3,
    },
}  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("case", STORES)
def test_200_weeks_are_exactly_the_literal_ones(case, kernel):
    """Two segments with prices of their own; coupons per customer where the case says so."""
    world = retail_gym.make_world(**{"category_shift": 5.0, "gamma_store_0": -1.0, **STORES[case]})
    segments = [np.array([3, 0]), np.array([1, 4, 2])]
    segment_of = {u: s for s, members in enumerate(segments) for u in members.tolist()}
    simulator = Simulator(world, KEY, segments, kernel)
    store = LiteralStore(world)
    generator = np.random.default_rng(0)
    sold = stayed_away = 0
    for week in range(1, 201):
        off = np.where(generator.random((2, 9)) < 0.5, 0.5 * generator.random((2, 9)), 0.0)
        prices = (1 - off) * world.base_price
        coupon = np.zeros(5)
        if "coupon" in case:
            coupon = generator.choice([0.0, 0.05, 0.5], 5)
        outcome = simulator.step(prices, coupon if "coupon" in case else None)
        expected = store.step([prices[segment_of[u]].tolist() for u in range(5)], coupon.tolist())
        lines = outcome.lines
        found = zip(lines.customer.tolist(), lines.category.tolist(), lines.product.tolist(),
                    lines.quantity.tolist(), strict=True)  # fmt: skip
        assert list(found) == [line[:4] for line in expected], f"week {week}"
        assert outcome.unit_price.tolist() == pytest.approx([x[4] for x in expected], rel=1e-12)
        assert outcome.visited.tolist() == store.visited
        memory = simulator.memory
        assert memory.visit_probability.tolist() == pytest.approx(store.probability, rel=1e-9)
        assert memory.store_value.tolist() == pytest.approx(store.value, rel=1e-9, abs=1e-12)
        sold += len(expected)
        stayed_away += store.visited.count(False)
    assert sold > 200  # the comparison is about something
    assert stayed_away > 20
