"""Levels: numbers that each govern one figure, moved by the gap of that figure, a few rounds.

A search spends most of its points on finding these; a fixed point iteration takes some six. What
is left to the searches are shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from retail_gym.calibration.settings import get, present, put
from retail_gym.calibration.target import Summary
from retail_gym.world.store_config import StoreConfig

__all__ = ["LEVELS", "match_levels"]

#: (real, simulated, value) -> new value.
Move = Callable[[Summary, Summary, float], float]
#: A value is at most divided or multiplied by this in one round, a shift no larger than its log.
CAREFUL: Final = 2.0
#: Moves are shares of the number, or of this where it is smaller.
LEAST: Final = 0.1


def _factor(wanted: float, found: float) -> float:
    """Their ratio; 1 where there is none, or one of another sign."""
    if not (np.isfinite(wanted) and np.isfinite(found) and wanted * found > 0.0):
        return 1.0
    return float(np.clip(wanted / found, 1.0 / CAREFUL, CAREFUL))


def _shift(gap: float) -> float:
    limit = float(np.log(CAREFUL))
    return float(np.clip(gap, -limit, limit)) if np.isfinite(gap) else 0.0


def _times(key: str) -> Move:
    """The figure is proportional to the number."""
    return lambda real, now, value: value * _factor(real.figures[key], now.figures[key])


def _plus(key: str, slope: float = 1.0) -> Move:
    """The figure grows by 1 / slope where the number grows by 1."""
    return lambda real, now, value: value + _shift(slope * (real.figures[key] - now.figures[key]))


def _log_mean(key: str, least: float) -> Move:
    """The number is the log of what the distribution's mean has above its least value."""

    def move(real: Summary, now: Summary, value: float) -> float:
        wanted, found = (s.distributions[key].mean - least for s in (real, now))
        return value + _shift(float(np.log(wanted / max(found, 1e-9)) if wanted > 0 else 0.0))

    return move


def _rare(key: str, slope: float) -> Move:
    """The more of what the distribution counts, the larger the number must be."""

    def move(real: Summary, now: Summary, value: float) -> float:
        more = float(np.log(now.distributions[key].mean / real.distributions[key].mean))
        return value + _shift(slope * more)

    return move


def _log_above_one(key: str) -> Move:
    def move(real: Summary, now: Summary, value: float) -> float:
        wanted, found = (s.figures[key] - 1.0 for s in (real, now))
        return value + _shift(float(np.log(wanted / max(found, 1e-9)) if wanted > 0 else 0.0))

    return move


def _against(key: str, slope: float) -> Move:
    """The figure falls by 1 / slope where the number grows by 1."""
    return lambda real, now, value: value + _shift(slope * (now.figures[key] - real.figures[key]))


def _log_quantile(key: str) -> Move:
    """The number is the log of the distribution's median, up to a constant."""

    def move(real: Summary, now: Summary, value: float) -> float:
        wanted, found = (s.distributions[key].quantile(0.5) for s in (real, now))
        return value + _shift(float(np.log(wanted / found)))

    return move


def _log_spread(key: str) -> Move:
    """The spread of the distribution's log is proportional to the number."""

    def width(side: Summary) -> float:
        found = side.distributions[key]
        return float(np.log(found.quantile(0.9) / found.quantile(0.1)))

    return lambda real, now, value: value * _factor(width(real), width(now))


def _odds(key: str) -> Move:
    """A share whose odds are proportional to those of the number."""

    def move(real: Summary, now: Summary, value: float) -> float:
        wanted, found = (s.figures[key] / max(1.0 - s.figures[key], 1e-9) for s in (real, now))
        odds = value / (1.0 - value) * _factor(wanted, found)
        return odds / (1.0 + odds)

    return move


def _attenuation(real: Summary, now: Summary, value: float) -> float:
    """The more prices vary that nobody answers, the closer to 0 is the pooled coefficient.

    Products whose price varies most have the most weight in it, so it is drawn nearer to 0 than
    the median product's, by which price sensitivity is matched.
    """
    wanted, found = (
        s.figures["price_coefficient"] / (s.figures["price_q50"] or np.nan) for s in (real, now)
    )
    return value + float(np.log(_factor(found, wanted)))


@dataclass(frozen=True)
class Level:
    """A number, its range, and how it follows its figure."""

    path: str
    low: float
    high: float
    move: Move
    promoted: bool = False  # without discounts nothing is learnt about it


_CATEGORIES: Final = Level("category_shift", -3.0, 3.0, _log_mean("ncat", 0.0))
_STORE: Final = (
    Level("layers.habit.repeat", 0.0, 0.95, _plus("repeat", 2.0)),
    Level("layers.availability.seasonal", 0.0, 0.95, _rare("catsize", 2.0)),
    Level("layers.assortment.log_rate", -8.0, 2.0, _log_above_one("ppc")),
    Level("layers.quantity.log_rate", -8.0, 3.0, _log_mean("qty", 1.0)),
    Level("promotion.a01.mean", 0.01, 0.9, _odds("discounted_share")),
    Level("promotion.depth.mean", 0.01, 0.8, _times("discount_depth")),
    Level("c", -40.0, -0.1, _times("price_q50"), promoted=True),
    Level("layers.dispersion.sd.mu", -7.0, -1.0, _attenuation, promoted=True),
)
LEVELS: Final = {
    "baskets": (
        _CATEGORIES,
        Level("layers.basket.size_sd", 0.01, 1.5, _times("sd_b")),
        Level("layers.basket.trip_sd", 0.01, 1.5, _times("sd_w")),
        Level("layers.basket.visit_correlation", -0.9, 0.99, _plus("corr_rate_basket")),
        Level("layers.basket.affinity_sd", 0.05, 3.0, _against("pen_ratio", 6.0)),
    ),
    "prices": (
        Level("layers.catalog.log_price", -5.0, 10.0, _log_quantile("price")),
        Level("layers.catalog.price_product_sd", 0.02, 2.0, _log_spread("price")),
    ),
    "store": _STORE,
    "all": (_CATEGORIES, *_STORE),
}


def match_levels(
    levels: tuple[Level, ...],
    config: StoreConfig,
    real: Summary,
    measure: Callable[[StoreConfig], Summary],
    rounds: int,
    tick: Callable[[float], None],
) -> tuple[StoreConfig, tuple[float, ...]]:
    """Move each number by the gap of its figure, round after round.

    Args:
        levels: the numbers; those of promotions, or of a layer, that a store lacks are left out.
        config: the store.
        real: figures wanted.
        measure: figures of a store.
        rounds: how many.
        tick: called after every round with the best loss so far.

    Returns:
        The store of the round whose numbers would move least, and the root mean square of these
        moves, as shares of the numbers, of each round.
    """
    best, chosen, losses = np.inf, config, []
    for number in range(rounds):
        now = measure(config)
        values = _values(levels, config, real, now)
        moves = [(new - old) / max(abs(old), LEAST) for old, new in values.values()]
        loss = float(np.sqrt(np.mean(np.square(moves))))
        losses.append(loss if np.isfinite(loss) else 1e6)
        if losses[-1] < best:
            best, chosen = losses[-1], config
        tick(best)
        share = max(0.5, 1.0 - 0.2 * number)  # numbers move each other's figures
        moved = {path: old + share * (new - old) for path, (old, new) in values.items()}
        config = put(config, moved)
    return chosen, tuple(losses)


def _values(
    levels: tuple[Level, ...], config: StoreConfig, real: Summary, now: Summary
) -> dict[str, tuple[float, float]]:
    """Each number as it is, and as its figure wants it."""
    found: dict[str, tuple[float, float]] = {}
    for level in levels:
        if not present(config, level.path):
            continue
        if level.promoted and config.promotion.depth is None:
            continue
        value = get(config, level.path)
        wanted = float(np.clip(level.move(real, now, value), level.low, level.high))
        found[level.path] = value, wanted
    return found
