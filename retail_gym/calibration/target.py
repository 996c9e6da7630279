"""What a store is calibrated to: a table of purchases and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.calibration.moments import Moments, category_moments
from retail_gym.calibration.popularity import Concentration, concentration
from retail_gym.data.table import Transactions
from retail_gym.evaluation.price_response import PriceResponse, price_response
from retail_gym.evaluation.realism import Empirical, profile

__all__ = ["OFTEN", "QUARTILES", "Summary", "Target", "responses", "summary"]

#: A table below any of these has too little in it to calibrate a store.
LEAST: Final = {"customers": 50, "weeks": 12, "trips": 500, "categories": 5, "products": 20}
QUARTILES: Final = (0.25, 0.5, 0.75)
#: Purchases of a product that is bought often.
OFTEN: Final = 10


@dataclass(frozen=True, eq=False)
class Summary:
    """Distributions and figures of one or several tables of equal size, their points together."""

    distributions: dict[str, Empirical]  # keys of DISTRIBUTIONS, lift, penetration, price_often
    figures: dict[str, float]  # keys of JOINT, discounts, price response, price_popularity


def _together(parts: Sequence[Empirical]) -> Empirical:
    values, place = np.unique(np.concatenate([p.values for p in parts]), return_inverse=True)
    counts = np.bincount(place, weights=np.concatenate([p.counts for p in parts]))
    return Empirical(values, counts.astype(np.int64))


def responses(table: Transactions) -> dict[str, float]:
    """Price coefficient and quartiles over products; nan where no product qualifies."""
    try:
        found: PriceResponse | None = price_response(table)
    except ValueError:
        found = None
    names = [f"price_q{100 * q:.0f}" for q in QUARTILES]
    if found is None or found.n_products < 10:
        return dict.fromkeys(["price_coefficient", *names], float("nan"))
    quartiles = {n: found.quantile(q) for n, q in zip(names, QUARTILES, strict=True)}
    return {"price_coefficient": found.coefficient, **quartiles}


def price_popularity(paid_i: NDArray[np.float64], rows_i: NDArray[np.int64]) -> float:
    """Correlation over products of the logs of price paid and of number of purchases."""
    log_paid_i = np.log(paid_i)
    # Equal prices are means of sums, and differ in the last digit.
    if rows_i.size < 3 or np.ptp(rows_i) == 0 or np.ptp(log_paid_i) < 1e-9:
        return float("nan")
    return float(np.corrcoef(log_paid_i, np.log(rows_i))[0, 1])


def summary(tables: Sequence[Transactions], prices: bool = True) -> Summary:
    """Summarise tables; ``prices``: with discounts and the response to prices."""
    figures, parts = [], []
    for table in tables:
        found = profile(table)
        row, part = dict(found.joint), dict(found.distributions)
        part |= {"lift": found.lifts.distribution, "penetration": found.penetration}
        if prices:
            names = ("discounted_share", "discount_depth")
            row |= {key: table.facts[key] for key in names} | responses(table)
            lines = table.lines
            rows_i = np.bincount(lines.product)
            paid_i = np.bincount(lines.product, weights=lines.unit_price) / rows_i
            row["price_popularity"] = price_popularity(paid_i, rows_i)
            part["price_often"] = Empirical.of(paid_i[rows_i >= OFTEN])
        figures.append(row)
        parts.append(part)
    return Summary(
        {key: _together([part[key] for part in parts]) for key in parts[0]},
        {key: float(np.mean([row[key] for row in figures])) for key in figures[0]},
    )


@dataclass(frozen=True, eq=False)
class Target:
    """A real table, and what a simulated table of ``size`` customers should look like."""

    table: Transactions
    size: int  # customers on each side of a comparison
    labels: tuple[object, ...]  # J: categories, in the store's order
    sizes: tuple[int, ...]  # J: their products
    summary: Summary = field(repr=False)  # of subsets of this size
    moments: Moments = field(repr=False)  # of all customers
    popularity: Concentration = field(repr=False)  # likewise

    @property
    def weeks(self) -> int:
        """T."""
        return self.table.n_weeks

    @classmethod
    def of(
        cls,
        table: Transactions,
        size: int | None = None,
        sizes: dict[object, int] | None = None,
        draws: int = 8,
        seed: int = 0,
    ) -> Target:
        """Measure a table.

        Args:
            table: purchases.
            size: customers on each side of a comparison; default: all, or 741 of more.
            sizes: products of each category, those that nobody bought included; by default
                estimated from how many were bought once and twice.
            draws: random subsets of that size whose points are taken together.
            seed: of the subsets.

        Raises:
            ValueError: for a table with too little in it, naming what is missing.
        """
        facts = table.facts
        short = [f"{facts[key]:,.0f} {key} of {n}" for key, n in LEAST.items() if facts[key] < n]
        if short:
            raise ValueError(
                f"{table.name} is too small to calibrate a store: it has {', '.join(short)} needed"
            )
        size = min(table.n_customers, 741) if size is None else size
        if not LEAST["customers"] <= size <= table.n_customers:
            raise ValueError(
                f"customers to compare must be {LEAST['customers']} to {table.n_customers:,}, "
                f"those of {table.name}; got {size}"
            )
        found = catalogue_sizes(table) if sizes is None else sizes
        labels = tuple(found)
        missing = [x for x in table.lines.category_labels if x not in found]
        if missing:
            raise ValueError(f"the catalogue lacks the category {missing[0]!r} of {table.name}")
        whole = size == table.n_customers
        subsets = [
            table if whole else table.sample(size, np.random.default_rng([seed, k]))
            for k in range(1 if whole else draws)
        ]
        return cls(
            table,
            size,
            labels,
            tuple(found[label] for label in labels),
            summary(subsets),
            category_moments(table, list(labels)),
            concentration(table, list(labels)),
        )


def catalogue_sizes(table: Transactions) -> dict[object, int]:
    r"""Products of each category, those that nobody bought included.

    .. math:: \hat n = n + \frac{f_1 (f_1 - 1)}{2 (f_2 + 1)},\quad \hat n \le 2n

    where f_1, f_2 are the numbers of products bought once and twice.

    Source: Chao (1984), bias-corrected form.
    """
    lines = table.lines
    bought = np.bincount(lines.product)
    n_j = len(lines.category_labels)

    def count(which: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.bincount(lines.product_category[which], minlength=n_j)

    all_, once, twice = count(bought > 0), count(bought == 1), count(bought == 2)
    unseen = once * (once - 1) / (2.0 * (twice + 1))
    total = np.minimum(all_ + np.ceil(unseen), 2 * all_).astype(int)
    return dict(zip(lines.category_labels, total.tolist(), strict=True))
