r"""Which categories go together: loadings of tastes and trips, estimated by their moments.

The lifts of a table (:mod:`retail_gym.calibration.moments`), within trips and between trips of
one customer, are matched by those of the model, their logs by least squares. Lifts between trips
tell tastes from what a trip is for; large baskets, whose lift is common to all pairs, are told
from both by the sizes of customers and trips, estimated along with the loadings. How often a
category is bought gives its appeal, and how many customers ever buy it its affinity: the more
unlike customers are, the fewer of them make the same sales.

The moments of the model are means of products of probabilities, not of draws, over fresh
simulated customers at every step of the descent (Adam, gradients in closed form); the last half
of the steps is averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from retail_gym.calibration.baskets import CategoryValues
from retail_gym.calibration.moments import NEVER, Moments, by_customer, moments_of
from retail_gym.model.basket_effects import trip_size
from retail_gym.model.visit_effects import opening_probability, visit_drift
from retail_gym.world.layers import BasketLayer, VisitLayer
from retail_gym.world.priors import Prior

Floats = NDArray[np.float64]
Single = NDArray[np.float32]

__all__ = ["Tastes", "fit_tastes"]

#: Counts added to a pair's joint trips, observed and expected, so that rare pairs do not shout.
PRIOR_COUNT: Final = 3.0
#: Expected joint trips at which a pair weighs half as much as a frequent one.
HALF_WEIGHT: Final = 50.0
#: Customers simulated at each step.
BATCH: Final = 400
RATE: Final = 0.03


class Tastes(NamedTuple):
    """Estimates by category."""

    appeal_j: Floats  # log-odds
    taste_jk: Floats  # J, K
    trip_jk: Floats  # J, K
    affinity_j: Floats  # standard deviations
    size_sd: float
    trip_sd: float


class _Batch(NamedTuple):
    """Fresh customers and trips."""

    customer: NDArray[np.int64]  # K, sorted
    n_u: Floats
    fill_in: Single  # K: what a fill-in trip takes off
    size: Single  # K: normal score of the customer's basket size
    major: Single  # K: of the trip's
    values: Single  # K, J: of prices and shelves
    taste: Single  # U, F
    own: Single  # U, J
    trip: Single  # K, F


def _batch(
    generator: np.random.Generator,
    visit: VisitLayer,
    basket: BasketLayer,
    beta_u: Prior,
    values: CategoryValues,
    n: int,
) -> _Batch:
    weeks, n_categories = values.effect_gtj.shape[1:]
    often = generator.standard_normal(n)
    lasting = visit.prior("intercept").quantile(special.ndtr(often))
    drift_u, came = None, []
    for week in range(weeks):
        drift_u = visit_drift(
            drift_u, generator.standard_normal(n), visit.drift_sd, visit.drift_memory
        )
        open_ = visit.opening if week == 0 else 1.0
        came.append(generator.random(n) < opening_probability(lasting + drift_u, open_))
    customer, week_k = np.nonzero(np.stack(came, axis=1))
    n_u = np.bincount(customer, minlength=n).astype(float)
    rho = basket.visit_correlation
    size_u = rho * often + np.sqrt(1.0 - rho**2) * generator.standard_normal(n)
    fill_in_u = special.expit(
        special.logit(basket.fill_in_share) + basket.fill_in_spread * generator.standard_normal(n)
    )
    fill_in = trip_size(
        0.0, generator.random(customer.size), 0.0, fill_in_u[customer], basket.fill_in_depth
    )
    sensitivity_u = beta_u.quantile(generator.random(n))
    worth = np.empty((customer.size, n_categories), dtype=np.float32)
    for week in range(weeks):
        rows = np.flatnonzero(week_k == week)
        worth[rows] = values.rows(sensitivity_u[customer[rows]], week + 1)

    def normal(*shape: int) -> Single:
        return generator.standard_normal(shape, dtype=np.float32)

    return _Batch(
        customer,
        n_u,
        fill_in.astype(np.float32),
        size_u[customer].astype(np.float32),
        normal(customer.size),
        worth,
        normal(n, basket.factors),
        normal(n, n_categories),
        normal(customer.size, basket.factors),
    )


def _chance(batch: _Batch, tastes: dict[str, Single]) -> Single:
    """Probabilities of the categories on every trip of a batch, shape (K, J)."""
    taste, trip, sd = tastes["taste"], tastes["trip"], np.exp(tastes["affinity"])
    lasting = batch.taste @ taste.T + sd * batch.own
    constant = tastes["appeal"] - 0.5 * ((taste**2).sum(axis=1) + (trip**2).sum(axis=1) + sd**2)
    logit = lasting[batch.customer] + batch.trip @ trip.T
    logit += batch.values
    size_sd, trip_sd = tastes["sizes"]
    logit += constant
    logit += (batch.fill_in + size_sd * batch.size + trip_sd * batch.major)[:, None]
    return np.asarray(special.expit(logit))


def _something(chance: Single) -> Single:
    """What a trip that would buy nothing adds to the means, shape (J,)."""
    kept = np.minimum(chance, NEVER)
    none = np.exp(np.log1p(-kept).sum(axis=1, dtype=np.float64))
    odds = kept / (1.0 - kept)
    share = none / odds.sum(axis=1)
    return np.asarray((share @ odds) / chance.shape[0], dtype=np.float32)


def _gradient(
    batch: _Batch, tastes: dict[str, Single], real: Moments, something: bool
) -> tuple[float, dict[str, Single]]:
    """Loss and its gradient by parameter."""
    chance = _chance(batch, tastes)
    n, n_j = chance.shape
    found = moments_of(chance, batch.customer, batch.n_u)
    floor = np.maximum(real.trips_j, 0.3) / real.n_trips
    expected = real.n_trips * np.outer(floor, floor)
    weight = expected / (expected + HALF_WEIGHT)
    weight /= weight.sum()
    off = ~np.eye(n_j, dtype=bool)
    p = found.trips_j / n
    extra = _something(chance) if something else np.zeros(n_j)
    scale = np.maximum(p, 1e-9) / np.maximum(p + extra, 1e-9)  # lifts are by means with it
    shrink = np.outer(scale, scale)
    loss, slope = 0.0, []
    for target, model in (
        (real.same_jk, found.same_jk * shrink),
        (real.other_jk, found.other_jk * shrink),
    ):
        wanted = np.log((expected * target + PRIOR_COUNT) / (expected + PRIOR_COUNT))
        got = np.log((expected * np.maximum(model, 0.0) + PRIOR_COUNT) / (expected + PRIOR_COUNT))
        gap = np.where(off, got - wanted, 0.0)
        loss += float((weight * gap**2).sum())
        # With respect to the lift, times the lift: the slope in its log.
        slope.append(2.0 * weight * gap * expected * model / (expected * model + PRIOR_COUNT))
    # d log lift_jk = dM_jk / M_jk - dp_j / p_j - dp_k / p_k
    mass = [
        np.where(found_jk > 0, s / np.maximum(found_jk * np.outer(p, p), 1e-12), 0.0)
        for s, found_jk in zip(slope, (found.same_jk, found.other_jk), strict=True)
    ]
    to_p = -2.0 * sum(s.sum(axis=1) for s in slope) / np.maximum(p, 1e-9)
    pairs_n = float(batch.n_u[batch.n_u > 1].sum())
    same, other = (m.astype(np.float32) for m in mass)
    total = by_customer(chance, batch.customer, batch.n_u)
    per = np.where(batch.n_u > 1, 1.0 / np.maximum(batch.n_u - 1.0, 1.0), 0.0)
    per = (per / pairs_n).astype(np.float32)
    down = chance @ (same * np.float32(2.0 / n))
    down += ((total * per[:, None]) @ (2.0 * other))[batch.customer]
    down -= per[batch.customer][:, None] * (chance @ (2.0 * other))
    down += (to_p / n).astype(np.float32)
    down *= chance * (1.0 - chance)
    level, down_k = down.sum(axis=0), down.sum(axis=1)
    by_u = by_customer(down, batch.customer, batch.n_u)
    # The mean of a category is matched by its appeal, not by the pairs.
    wanted_p = np.clip(floor, 1e-7, 1.0 - 1e-7)
    gap_p = special.logit(np.clip(p + extra, 1e-7, 1.0 - 1e-7)) - special.logit(wanted_p)
    # More affinity, fewer customers: the gap of penetrations moves it, as that of means appeal.
    share = np.clip([found.ever_j, real.ever_j], 1e-4, 1.0 - 1e-4)
    gap_ever = special.logit(share[1]) - special.logit(share[0])
    return loss, {
        "appeal": gap_p.astype(np.float32),
        "taste": by_u.T @ batch.taste - tastes["taste"] * level[:, None],
        "trip": down.T @ batch.trip - tastes["trip"] * level[:, None],
        "sizes": np.array([down_k @ batch.size, down_k @ batch.major]),
        "affinity": gap_ever.astype(np.float32),
    }


def _begin(real: Moments, basket: BasketLayer, start: Floats, seed: int) -> dict[str, Single]:
    """Loadings from the largest eigenvalues of the log lifts; the rest small."""
    n_j, k = real.trips_j.size, basket.factors
    floor = np.maximum(real.trips_j, 0.3) / real.n_trips
    expected = real.n_trips * np.outer(floor, floor)
    log_lift = np.log((expected * real.other_jk + 10.0) / (expected + 10.0))
    np.fill_diagonal(log_lift, 0.0)
    weight = expected / (expected + HALF_WEIGHT)
    log_lift -= np.average(log_lift, weights=weight)
    loading = np.zeros((n_j, k))
    for _ in range(30):
        values, vectors = np.linalg.eigh(log_lift)
        loading = vectors[:, n_j - k :] * np.sqrt(np.maximum(values[n_j - k :], 0.0))
        np.fill_diagonal(log_lift, (loading**2).sum(axis=1))
    generator = np.random.default_rng([seed, 1])
    return {
        "appeal": start.astype(np.float32),
        "taste": loading.astype(np.float32),
        "trip": generator.normal(0.0, 0.1, (n_j, k)).astype(np.float32),
        "affinity": np.full(n_j, np.log(0.7), dtype=np.float32),
        "sizes": np.array([basket.size_sd, basket.trip_sd], dtype=np.float32),
    }


def fit_tastes(
    real: Moments,
    visit: VisitLayer,
    basket: BasketLayer,
    beta_u: Prior,
    values: CategoryValues,
    *,
    steps: int,
    seed: int = 0,
    begin: Tastes | None = None,
    tick: Callable[[float], None] = lambda loss: None,
) -> Tastes:
    """Estimate appeal, loadings and affinities of every category, and sizes of baskets.

    Args:
        real: moments of the real table.
        visit: the visit layer, as calibrated.
        basket: the basket layer: its sizes, fill-in trips and number of factors.
        beta_u: law of price sensitivity over customers.
        values: what prices and shelves add.
        steps: of the descent.
        seed: of the simulated customers.
        begin: estimates to begin from, whose basket sizes are kept; default: eigenvectors of the
            log lifts.
        tick: called after every step with the loss (of that step's customers).
    """
    if begin is None:
        share = np.maximum(real.trips_j, 0.3) / real.n_trips
        now = _begin(real, basket, special.logit(share), seed)
    else:
        now = {
            "appeal": begin.appeal_j.astype(np.float32),
            "taste": begin.taste_jk.astype(np.float32),
            "trip": begin.trip_jk.astype(np.float32),
            "affinity": np.log(np.maximum(begin.affinity_j, 1e-3)).astype(np.float32),
            "sizes": np.array([basket.size_sd, basket.trip_sd], dtype=np.float32),
        }
    mean = {key: np.zeros_like(value, dtype=np.float64) for key, value in now.items()}
    first = {key: np.zeros_like(value) for key, value in now.items()}
    second = {key: np.zeros_like(value) for key, value in now.items()}
    tail = steps - steps // 2
    for step in range(1, steps + 1):
        generator = np.random.default_rng([seed, 2, step])
        batch = _batch(generator, visit, basket, beta_u, values, BATCH)
        loss, gradient = _gradient(batch, now, real, basket.something)
        if begin is not None:
            del gradient["sizes"]
        rate = RATE * min(1.0, 2.0 * (1.0 - (step - 1) / steps))
        for key, slope in gradient.items():
            if key in ("appeal", "affinity"):  # Robbins-Monro on the gap itself
                now[key] = now[key] - np.clip(10.0 * rate * slope, -0.3, 0.3)
                continue
            first[key] += 0.1 * (slope - first[key])
            second[key] += 0.01 * (slope**2 - second[key])
            ahead = first[key] / (1.0 - 0.9**step)
            size = np.sqrt(second[key] / (1.0 - 0.99**step)) + 1e-12
            now[key] = now[key] - rate * ahead / size
        now["affinity"] = np.clip(now["affinity"], np.log(0.05), np.log(3.0))
        now["sizes"] = np.maximum(now["sizes"], 0.0)
        if step > steps - tail:
            for key, value in now.items():
                mean[key] += value / tail
        tick(loss)
    size_sd, trip_sd = mean["sizes"].tolist()
    return Tastes(
        mean["appeal"], mean["taste"], mean["trip"], np.exp(mean["affinity"]), size_sd, trip_sd
    )
