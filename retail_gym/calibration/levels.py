"""Levels: numbers that each govern one figure, moved by the gap of that figure, a few rounds.

A search spends most of its points on finding these; a fixed point iteration takes some six. What
is left to the searches are shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import special

from retail_gym.calibration.settings import get, present, put
from retail_gym.calibration.target import Summary
from retail_gym.config import check_choice
from retail_gym.world.store_config import StoreConfig

__all__ = ["LEVELS", "Level", "match_levels"]

#: (real, simulated) -> how far the number, its log or its log-odds should move. None: the real side
#: has no such figure; nan: the simulated side lacks it, or has it with another sign.
Step = Callable[[Summary, Summary], float | None]
#: The largest step of one round: a factor of 2.
LARGEST: Final = float(np.log(2.0))
#: What a figure counts that the simulated side lacks: more than any other.
UNKNOWN: Final = 1.0
SCALES: Final = ("number", "log", "log-odds")


def _log_ratio(wanted: float, found: float) -> float | None:
    if not np.isfinite(wanted):
        return None
    if wanted == 0.0:
        return -LARGEST if found > 0.0 else 0.0
    return float(np.log(wanted / found)) if wanted * found > 0.0 else float("nan")


def _times(key: str) -> Step:
    """The figure is proportional to the number."""
    return lambda real, now: _log_ratio(real.figures[key], now.figures[key])


def _plus(key: str, slope: float = 1.0) -> Step:
    """The figure grows by 1 / slope where the number grows by 1; slope below 0: falls."""

    def step(real: Summary, now: Summary) -> float | None:
        wanted = real.figures[key]
        return slope * (wanted - now.figures[key]) if np.isfinite(wanted) else None

    return step


def _mean(key: str, least: float, slope: float = 1.0) -> Step:
    """The log of what the distribution's mean has above its least value grows by 1 / slope."""

    def step(real: Summary, now: Summary) -> float | None:
        wanted, found = (s.distributions[key].mean - least for s in (real, now))
        ratio = _log_ratio(wanted, found)
        return None if ratio is None else slope * ratio

    return step


def _above_one(key: str) -> Step:
    """What the figure has above 1 is proportional to the number's exponential."""
    return lambda real, now: _log_ratio(real.figures[key] - 1.0, now.figures[key] - 1.0)


def _median(key: str) -> Step:
    """The number is the log of the distribution's median, up to a constant."""

    def step(real: Summary, now: Summary) -> float | None:
        return _log_ratio(*(s.distributions[key].quantile(0.5) for s in (real, now)))

    return step


def _spread(key: str) -> Step:
    """The spread of the distribution's log is proportional to the number."""

    def width(side: Summary) -> float:
        found = side.distributions[key]
        return float(np.log(found.quantile(0.9) / found.quantile(0.1)))

    return lambda real, now: _log_ratio(width(real), width(now))


def _odds(key: str) -> Step:
    """A share whose odds are proportional to those of the number."""

    def step(real: Summary, now: Summary) -> float | None:
        return _log_ratio(*(s.figures[key] / max(1.0 - s.figures[key], 1e-9) for s in (real, now)))

    return step


def _sensitivity(key: str) -> Step:
    """A response to prices, below 0, which is proportional to the number.

    Where a side shows none, its sign says the direction.
    """

    def step(real: Summary, now: Summary) -> float | None:
        wanted, found = real.figures[key], now.figures[key]
        if np.isfinite(wanted) and np.isfinite(found) and max(wanted, found) >= 0.0:
            return LARGEST * (float(wanted < 0.0) - float(found < 0.0))
        return _log_ratio(wanted, found)

    return step


def _attenuation(real: Summary, now: Summary) -> float | None:
    """The more prices vary that nobody answers, the closer to 0 is the pooled coefficient.

    Products whose price varies most have the most weight in it, so it is drawn nearer to 0 than
    the median product's, by which price sensitivity is matched.
    """
    pooled, median = ([s.figures[key] for s in (real, now)] for key in _ATTENUATED)
    if not (pooled[0] < 0.0 and median[0] < 0.0):
        return None
    if not (pooled[1] < 0.0 and median[1] < 0.0):
        return float("nan")
    return float(np.log(pooled[1] / median[1]) - np.log(pooled[0] / median[0]))


_ATTENUATED: Final = ("price_coefficient", "price_q50")


@dataclass(frozen=True)
class Level:
    """A number, its range, how it follows its figure, and on which scale it moves."""

    path: str
    low: float
    high: float
    step: Step
    scale: str = "number"
    promoted: bool = False  # without discounts nothing is learnt about it

    def __post_init__(self) -> None:
        check_choice("scale", self.scale, SCALES)

    def moved(self, value: float, step: float) -> float:
        """The number after a step, within its range."""
        if self.scale == "log":
            value *= float(np.exp(step))
        elif self.scale == "log-odds":
            value = float(special.expit(special.logit(value) + step))
        else:
            value += step
        return float(np.clip(value, self.low, self.high))


_CATEGORIES: Final = Level("category_shift", -3.0, 3.0, _mean("ncat", 0.0))
_PRODUCTS: Final = (
    Level("layers.habit.repeat", 0.0, 0.95, _plus("repeat", 2.0)),
    # Products with a window are sold less: fewer different ones are bought in each category.
    Level("layers.availability.seasonal", 0.0, 0.95, _mean("catsize", 0.0, -2.0)),
)
_STORE: Final = (
    Level("layers.assortment.log_rate", -8.0, 2.0, _above_one("ppc")),
    Level("layers.quantity.log_rate", -8.0, 3.0, _mean("qty", 1.0)),
    Level("promotion.a01.mean", 0.01, 0.9, _odds("discounted_share"), "log-odds"),
    Level("promotion.depth.mean", 0.01, 0.8, _times("discount_depth"), "log"),
    Level("c", -40.0, -0.1, _sensitivity("price_q50"), "log", promoted=True),
    Level("layers.dispersion.sd.mu", -7.0, -1.0, _attenuation, promoted=True),
)
LEVELS: Final = {
    "baskets": (
        _CATEGORIES,
        Level("layers.basket.size_sd", 0.01, 1.5, _times("sd_b"), "log"),
        Level("layers.basket.trip_sd", 0.01, 1.5, _times("sd_w"), "log"),
        Level("layers.basket.visit_correlation", -0.9, 0.99, _plus("corr_rate_basket")),
        Level("layers.basket.affinity_sd", 0.05, 3.0, _plus("pen_ratio", -6.0)),
    ),
    "prices": (
        Level("layers.catalog.log_price", -5.0, 10.0, _median("price")),
        Level("layers.catalog.price_product_sd", 0.02, 2.0, _spread("price"), "log"),
    ),
    "store": (*_PRODUCTS, *_STORE),
    # Habit and shelves have been searched with the shapes that hang on them.
    "means": (_CATEGORIES, *_STORE),
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
        real: figures wanted; a number whose figure it lacks stays.
        measure: figures of a store.
        rounds: how many.
        tick: called after every round with the best loss so far.

    Returns:
        The store of the round that calls for the smallest steps, and the root mean square of the
        steps of each round.
    """
    best, chosen, losses = np.inf, config, []
    for number in range(rounds):
        steps = _steps(levels, config, real, measure(config))
        size = [UNKNOWN if np.isnan(step) else step for _, step in steps]
        losses.append(float(np.sqrt(np.mean(np.square(size)))) if size else 0.0)
        if losses[-1] < best:
            best, chosen = losses[-1], config
        tick(best)
        share = max(0.5, 1.0 - 0.2 * number)  # numbers move each other's figures
        moved = {
            level.path: level.moved(get(config, level.path), share * step)
            for level, step in steps
            if not np.isnan(step)
        }
        config = put(config, moved)
    return chosen, tuple(losses)


def _steps(
    levels: tuple[Level, ...], config: StoreConfig, real: Summary, now: Summary
) -> list[tuple[Level, float]]:
    """The levels that a store has and a figure for, and the step that each calls for."""
    found = []
    for level in levels:
        if not present(config, level.path):
            continue
        if level.promoted and config.promotion.depth is None:
            continue
        step = level.step(real, now)
        if step is not None:
            found.append((level, float(np.clip(step, -LARGEST, LARGEST))))
    return found
