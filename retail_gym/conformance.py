"""Conformance: the equations and the simulator against numbers from elsewhere.

``retail-gym conformance FILE.npz`` computes every output of an equation file with ``model/``
and compares; ``--market FILE.json`` simulates a whole store and compares its figures.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_choice, check_int
from retail_gym.evaluation.metrics import METRICS
from retail_gym.evaluation.rollout import simulate
from retail_gym.model import (
    category_choice,
    elasticity,
    price,
    product_choice,
    quantity,
    store_visit,
    utility,
)
from retail_gym.policies.everyday import Planned
from retail_gym.world.arrays import read_shaped
from retail_gym.world.world import World

Floats = NDArray[np.float64]

__all__ = ["Check", "check_equations", "check_market", "equations", "read_market"]

#: Arrays that an equation file must hold, with their index letters. The marketing feature is one
#: number, or one per customer.
INPUTS: Final = {
    "category_sizes": "J", "beta_x": "UI", "beta_z": "UI", "beta_u": "U", "beta_i": "I", "c": "",
    "Z": "I", "base_price": "I", "gamma_cate_0": "J", "gamma_cate_1": "J", "gamma_store_0": "",
    "gamma_store_1": "", "gamma_store_2": "", "theta": "U", "gamma_prod_0": "I",
    "gamma_prod_1": "UI", "clip_percentile": "", "lowest_price": "", "X": "UI", "eps": "UI",
    "discount": "I", "coupon": "U", "previous_visit": "U", "previous_visit_probability": "U",
    "marketing_feature": "",
}  # fmt: skip
TOLERANCE: Final = 1e-9  # times (|expected| + mean |expected|)
SIGMAS: Final = 4.0  # standard errors, and
SHARE: Final = 0.015  # of the expected value: a market figure fails beyond both


@dataclass(frozen=True)
class Check:
    """One comparison."""

    name: str
    measured: float | None  # market: our mean
    expected: float | None
    error: float  # equations: largest relative error; market: difference in standard errors
    passed: bool


def equations(arrays: Mapping[str, Any]) -> dict[str, Floats]:
    """Every output of an equation file from its inputs, through ``retail_gym.model``.

    Args:
        arrays: the inputs, by the names of the reference files.

    Returns:
        Outputs by name, in the order of the paper.

    Raises:
        ValueError: if an input is missing, not a number or of the wrong shape.
    """
    missing = [name for name in INPUTS if name not in arrays]
    if missing:
        raise ValueError(f"the equation file lacks {', '.join(missing)}")
    # A feature of one entry per customer means that coupons count in it.
    per_customer = np.shape(arrays["marketing_feature"]) == np.shape(arrays["coupon"])
    a = read_shaped(arrays, INPUTS | {"marketing_feature": "U" if per_customer else ""})
    sizes = a["category_sizes"].astype(np.int64)
    out: dict[str, Floats] = {}
    out["price"] = price.price(a["base_price"], a["discount"], a["lowest_price"])
    out["price_paid"] = price.price_paid(out["price"], a["coupon"])
    beta_w = utility.price_sensitivity(a["c"], a["beta_u"], a["beta_i"])
    out["utility_unclipped"] = utility.product_utility(
        a["beta_x"], a["X"], a["beta_z"], a["Z"], beta_w, np.log(out["price_paid"]), a["eps"]
    )
    cap = np.percentile(out["utility_unclipped"], a["clip_percentile"])  # the file's own
    out["utility"] = utility.capped_utility(out["utility_unclipped"], cap)
    out["category_value"] = category_choice.category_value(out["utility"], sizes)
    out["product_probability"] = product_choice.product_probability(
        out["utility"], out["category_value"], sizes
    )
    out["category_probability"] = category_choice.category_probability(
        a["gamma_cate_0"], a["gamma_cate_1"], out["category_value"]
    )
    out["store_value"] = store_visit.store_value(out["category_value"])
    store_utility = store_visit.store_utility(
        a["gamma_store_0"],
        a["gamma_store_1"],
        a["gamma_store_2"],
        a["previous_visit"],
        out["store_value"],
        a["marketing_feature"],
    )
    out["visit_probability"] = store_visit.visit_probability(
        a["theta"], store_visit.visit_propensity(store_utility), a["previous_visit_probability"]
    )
    out["purchase_rate"] = quantity.purchase_rate(
        a["gamma_prod_0"], a["gamma_prod_1"], out["utility"]
    )
    out["elasticity_store"] = elasticity.store_elasticity(
        a["gamma_store_2"],
        out["visit_probability"],
        a["discount"],
        coupon_u=a["coupon"] if per_customer else 0.0,
    )
    out["elasticity_category"] = elasticity.category_elasticity(
        out["product_probability"],
        np.repeat(out["category_probability"], sizes, axis=1),
        np.repeat(a["gamma_cate_1"], sizes),
        beta_w,
    )
    out["elasticity_product"] = elasticity.product_elasticity(out["product_probability"], beta_w)
    out["elasticity_quantity"] = elasticity.quantity_elasticity(
        out["purchase_rate"], a["gamma_prod_1"], beta_w
    )
    out["elasticity_overall"] = elasticity.overall_elasticity(
        out["elasticity_store"],
        out["elasticity_category"],
        out["elasticity_product"],
        out["elasticity_quantity"],
    )
    return out


def check_equations(arrays: Mapping[str, Any]) -> tuple[list[Check], dict[str, Floats]]:
    """Compare the outputs with those the file expects.

    Returns:
        One check per expected array: passed if |ours - expected| <= 1e-9 (|expected| + mean
        |expected|) everywhere and all is finite; and our outputs.
    """
    outputs = equations(arrays)
    checks = []
    for name, ours in outputs.items():
        if name not in arrays:
            continue
        expected = np.asarray(arrays[name], dtype=np.float64)
        if expected.shape != ours.shape:
            checks.append(Check(name, None, None, np.inf, False))
            continue
        size = np.abs(expected)
        allowed = size + size.mean()
        gap = np.abs(ours - expected)
        error = np.divide(gap, allowed, out=np.where(gap > 0, np.inf, 0.0), where=allowed > 0)
        worst = float(error.max()) if np.isfinite(ours).all() else np.inf
        checks.append(Check(name, None, None, worst, worst <= TOLERANCE))
    broken = [name for name, ours in outputs.items() if not np.isfinite(ours).all()]
    if broken and not checks:
        raise ValueError(f"outputs with NaN or infinite values: {', '.join(broken)}")
    return checks, outputs


def check_market(
    arrays: Mapping[str, Any],
    expected: Mapping[str, Any],
    runs: int = 40,
    kernel: str | None = None,
    step: Callable[[], object] = lambda: None,
) -> list[Check]:
    """Simulate a store under its own promotion process and compare its figures.

    Args:
        arrays: the store, as :meth:`World.from_arrays` takes it.
        expected: ``names``, ``mean``, ``standard_error`` of 53-week runs.
        runs: our runs, seeds 0..runs-1.
        kernel: name of the kernel, by default the fastest.
        step: called after each run, for a progress bar.

    Returns:
        One check per figure; failed where the difference exceeds both 4 standard errors,
        sqrt(ours^2 + theirs^2), and 1.5 % of the expected value.

    Raises:
        ValueError: if the expectations are incomplete or name an unknown figure.
    """
    runs = check_int("runs", runs, 2)
    missing = [key for key in ("names", "mean", "standard_error") if key not in expected]
    if missing:
        raise ValueError(f"the market file lacks {', '.join(missing)}")
    names = list(expected["names"])
    if not len(names) == len(expected["mean"]) == len(expected["standard_error"]):
        raise ValueError("names, mean and standard_error must have the same length")
    for name in names:
        check_choice("figure", name, METRICS)
    if "discount_alpha_beta" not in arrays:
        raise ValueError("the store has no promotion process: discount_alpha_beta is missing")
    world = World.from_arrays(arrays)
    policy = Planned(world.promotion)
    table: list[dict[str, float]] = []
    for seed in range(runs):
        table.append(simulate(world, policy, weeks=53, seed=seed, kernel=kernel).metrics)
        step()
    checks = []
    for name, target, target_error in zip(
        names, expected["mean"], expected["standard_error"], strict=True
    ):
        values = np.array([row[name] for row in table])
        ours = float(values.mean())
        error = float(np.hypot(values.std(ddof=1) / np.sqrt(runs), target_error))
        gap = ours - target
        sigmas = gap / error if error > 0 else (0.0 if gap == 0 else np.inf)
        passed = abs(sigmas) <= SIGMAS or abs(gap) <= SHARE * abs(target)
        checks.append(Check(name, ours, float(target), float(sigmas), passed))
    return checks


def read_market(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the expectations of a market file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not JSON of a table.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(errno.ENOENT, f"no file at {file}")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold a JSON object with names, mean and standard_error")
    return content
