"""Figures of a whole run, for everybody and by segment: one place for their definitions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retail_gym.outcome import WeekOutcome

__all__ = ["METRICS", "RunMetrics"]

#: Names of the figures of a run, in the order of the tables.
METRICS = (
    "units",
    "revenue",
    "margin",
    "discount_spend",
    "realised_discount",
    "effective_discount",
    "categories_per_customer_week",
    "categories_per_visiting_customer_week",
    "visit_rate",
    "retention",
    "retention_3w",
)


class RunMetrics:
    """Accumulates weeks into the figures of a run, per group of customers.

    * units, revenue [$], margin [$], discount_spend [$]: sums over the run.
    * realised_discount: mean over all purchase lines of 1 - price paid / base price.
    * effective_discount: mean discount drawn (before the price floor) over products, weeks and segments; of a
      group, what its customers were offered.
    * categories_per_customer_week: categories bought / (customers x weeks).
    * categories_per_visiting_customer_week: mean over the weeks with buyers of categories
      bought / customers who bought.
    * visit_rate: share of customer-weeks with a store visit.
    * retention, retention_3w: share of customers with a purchase in the last four (three) weeks.

    Memory does not grow with the number of weeks.

    Args:
        group_u: group of each customer, 0..G-1, shape (U,); by default one group.
        n_customers: U, where ``group_u`` is not given.
    """

    def __init__(
        self, n_customers: int | None = None, group_u: NDArray[np.int64] | None = None
    ) -> None:
        if group_u is None:
            group_u = np.zeros(int(n_customers or 0), dtype=np.int64)
        self._group_u = group_u
        self._size = np.bincount(group_u).astype(np.float64)
        n = self._size.size
        self._sum = {
            key: np.zeros(n)
            for key in ("units", "revenue", "margin", "discount_spend", "line_discount", "lines",
                        "categories", "visits", "penetration", "penetration_weeks")
        }  # fmt: skip
        self._effective = np.zeros(n)
        self._weeks = 0
        self._last: WeekOutcome | None = None

    def add(self, outcome: WeekOutcome) -> None:
        """Count one week."""
        n = self._size.size
        group_l = self._group_u[outcome.lines.customer]

        def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.bincount(group_l, weights=values, minlength=n).astype(np.float64)

        quantity = outcome.lines.quantity.astype(np.float64)
        lines = total(np.ones_like(quantity))
        categories = total(outcome.first_of_category.astype(np.float64))
        bought = np.unique(outcome.lines.customer)
        buyers = np.bincount(self._group_u[bought], minlength=n)
        some = buyers > 0
        self._sum["units"] += total(quantity)
        self._sum["revenue"] += total(outcome.line_revenue)
        self._sum["margin"] += total(outcome.line_margin)
        self._sum["discount_spend"] += total(quantity * (outcome.base_price - outcome.unit_price))
        self._sum["line_discount"] += total(outcome.line_discount)
        self._sum["lines"] += lines
        self._sum["categories"] += categories
        self._sum["visits"] += np.bincount(
            self._group_u, weights=outcome.visited.astype(np.float64), minlength=n
        )
        self._sum["penetration"][some] += categories[some] / buyers[some]
        self._sum["penetration_weeks"] += some
        if n == 1:
            self._effective += outcome.effective_discount
        else:  # what each group's customers were offered
            offered = outcome.segment_discount[outcome.segment_of_customer]
            self._effective += np.bincount(self._group_u, weights=offered, minlength=n) / self._size
        self._weeks += 1
        self._last = outcome

    def groups(self) -> list[dict[str, float]]:
        """The figures of each group, by the names of :data:`METRICS`.

        Raises:
            ValueError: if no week was counted.
        """
        if self._last is None:
            raise ValueError("no week was counted")
        n, weeks, s = self._size.size, self._weeks, self._sum
        customer_weeks = self._size * weeks

        def share(active: NDArray[np.bool_]) -> NDArray[np.float64]:
            return (
                np.bincount(self._group_u, weights=active.astype(float), minlength=n) / self._size
            )

        columns = {
            "units": s["units"],
            "revenue": s["revenue"],
            "margin": s["margin"],
            "discount_spend": s["discount_spend"],
            "realised_discount": s["line_discount"] / np.maximum(s["lines"], 1.0),
            "effective_discount": self._effective / weeks,
            "categories_per_customer_week": s["categories"] / customer_weeks,
            "categories_per_visiting_customer_week": s["penetration"]
            / np.maximum(s["penetration_weeks"], 1.0),
            "visit_rate": s["visits"] / customer_weeks,
            "retention": share(self._last.active()),
            "retention_3w": share(self._last.active(3)),
        }
        return [{key: float(columns[key][g]) for key in METRICS} for g in range(n)]

    def total(self) -> dict[str, float]:
        """The figures of the only group."""
        (only,) = self.groups()
        return only
