"""One number that a search makes small: how far a simulated summary is from the real one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from retail_gym.calibration.target import Summary
from retail_gym.evaluation.realism import ks_complement
from retail_gym.evaluation.realism.distributions import wasserstein

__all__ = ["SCALES", "distance", "gaps"]

#: What a gap is measured in: about what separates real customers from other real ones, or half of
#: what a goal allows. Distributions: 1 - KS-complement; figures: absolute difference.
SCALES: Final[dict[str, float]] = {
    "visit_cust": 0.03,
    "tslp": 0.015,
    "cat_prob": 0.03,
    "prod_prob": 0.03,
    "qty": 0.01,
    "ncat": 0.02,
    "ncat_sd": 0.15,
    "nitem": 0.02,
    "prodweek": 0.012,
    "price": 0.015,
    "price_often": 0.02,
    "price_popularity": 0.015,
    "catsize": 0.03,
    "lift": 0.035,
    "lift_w1": 0.03,
    "penetration": 0.04,
    "icc": 0.015,
    "sd_b": 0.02,
    "sd_w": 0.02,
    "corr_rate_basket": 0.025,
    "pen_ratio": 0.015,
    "repeat": 0.015,
    "ppc": 0.01,
    "visit_ac1": 0.01,
    "half_corr": 0.015,
}

#: Scales by which a figure is off that cannot be computed.
MISSING: Final = 10.0


def gaps(real: Summary, simulated: Summary, keys: Sequence[str]) -> dict[str, float]:
    """Gaps by key, 0 is perfect; a figure that the real side does not have is left out.

    One that only the simulated side lacks counts as far off.
    """
    found: dict[str, float] = {}
    for key in keys:
        known, gap = _gap(real, simulated, key)
        if known:
            found[key] = gap if np.isfinite(gap) else MISSING * SCALES[key]
    return found


def _gap(real: Summary, simulated: Summary, key: str) -> tuple[bool, float]:
    """Whether the real side has the figure, and the gap; not finite where the other lacks it."""
    name = {"lift_w1": "lift", "ncat_sd": "ncat"}.get(key, key)
    if name not in real.distributions:
        wanted = real.figures[key]
        return bool(np.isfinite(wanted)), abs(wanted - simulated.figures[key])
    one, other = real.distributions[name], simulated.distributions[name]
    if key == "lift_w1":
        gap = wasserstein(one, other)
    elif key == "ncat_sd":  # large baskets, which a KS-complement hardly sees, make lifts
        gap = abs(one.sd - other.sd)
    else:
        gap = 1.0 - ks_complement(one, other)
    return one.size > 0, gap


def distance(gap: Mapping[str, float]) -> float:
    """Root mean square of gaps in units of their scales."""
    return float(np.sqrt(np.mean([(value / SCALES[key]) ** 2 for key, value in gap.items()])))
