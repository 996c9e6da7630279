"""What happened in one week, and the definitions of the week's figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.kernels.base import Figures, Purchases

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]

__all__ = ["COST_SHARE", "RETENTION_WEEKS", "WeekOutcome"]

#: Cost of a unit as a share of its base price: margin = price paid - 0.70 base price.
COST_SHARE: Final = 0.70
#: A customer is active after a purchase in the last min(t, 4) weeks.
RETENTION_WEEKS: Final = 4


@dataclass(frozen=True)
class WeekOutcome:
    """One week of the store, as its records would show it.

    A *line* is a purchase of one product by one customer; arrays of lines have shape (L,) and
    are sorted by customer, then category. Money is summed in float64 in this order.
    """

    week: int  # counted from 1
    lines: Purchases
    unit_price: Floats  # L: price paid, the coupon included [$]
    base_price: Floats  # L [$]
    visited: NDArray[np.bool_]  # U
    last_purchase: NDArray[np.int64]  # U: week of the last purchase up to now, 0 for never
    segment_of_customer: NDArray[np.int64]  # U
    discounts: Floats | Callable[[], Floats]  # S, I, or what makes them; see discount_si
    coupon: Floats  # U: coupon used this week

    def know(self, figures: Figures, segment_discount: Floats) -> None:
        """Take figures over that a pass over the week has taken along.

        They are what the properties below say, of which a pass is no second definition: it may
        differ from them by the rounding of a sum in another order.
        """
        n = figures.lines
        self.__dict__.update(
            units=int(figures.units),
            revenue=figures.revenue,
            margin=figures.margin,
            realised_discount=figures.line_discount / n if n else 0.0,
            buyers=int(figures.buyers),
            visit_rate=figures.visits / self.visited.size,
            retention=figures.active / self.visited.size,
            segment_discount=segment_discount,
        )

    @cached_property
    def discount_si(self) -> Floats:
        """Discount drawn, before the price floor, shape (S, I)."""
        return self.discounts() if callable(self.discounts) else self.discounts

    @property
    def n_customers(self) -> int:
        """U."""
        return int(self.visited.size)

    @cached_property
    def line_segment(self) -> NDArray[np.int64]:
        """Segment of each line's customer, shape (L,)."""
        return self.segment_of_customer[self.lines.customer]

    @cached_property
    def line_revenue(self) -> Floats:
        """Quantity times price paid [$], shape (L,)."""
        return self.lines.quantity * self.unit_price

    @cached_property
    def line_discount(self) -> Floats:
        """1 - price paid / base price, shape (L,)."""
        return 1.0 - self.unit_price / self.base_price

    @cached_property
    def line_margin(self) -> Floats:
        """Quantity times (price paid - 0.70 base price) [$], shape (L,)."""
        return self.lines.quantity * (self.unit_price - COST_SHARE * self.base_price)

    @cached_property
    def line_discount_spend(self) -> Floats:
        """Quantity times (base price - price paid) [$], shape (L,)."""
        return self.lines.quantity * (self.base_price - self.unit_price)

    def lines_by_segment(self, values_l: NDArray[Any]) -> Floats:
        """Sum a figure of the lines, shape (L,), over each segment's: shape (S,)."""
        return self._by_segment(self.line_segment, values_l)

    def customers_by_segment(self, values_u: NDArray[Any]) -> Floats:
        """Sum a figure of the customers, shape (U,), over each segment's: shape (S,)."""
        return self._by_segment(self.segment_of_customer, values_u)

    def _by_segment(self, segment: NDArray[np.int64], values: NDArray[Any]) -> Floats:
        n = self.discount_si.shape[0]
        return np.bincount(segment, weights=values, minlength=n).astype(np.float64)

    @cached_property
    def units(self) -> int:
        """Units sold."""
        return int(self.lines.quantity.sum())

    @cached_property
    def revenue(self) -> float:
        """Sum of quantity times price paid [$]."""
        return float(self.line_revenue.sum())

    @cached_property
    def margin(self) -> float:
        """Sum of quantity times (price paid - 0.70 base price) [$]."""
        return float(self.line_margin.sum())

    @property
    def discount_spend(self) -> float:
        """Sum of quantity times (base price - price paid) [$]."""
        return float(self.line_discount_spend.sum())

    @cached_property
    def realised_discount(self) -> float:
        """Mean over the week's lines of 1 - price paid / base price; 0 without lines."""
        off = self.line_discount
        return float(off.sum() / off.size) if off.size else 0.0

    @cached_property
    def effective_discount(self) -> float:
        """Mean discount drawn (eq. 15, before the price floor) over products and segments."""
        rows = self.segment_discount
        # Equal segments give exactly the figure of one.
        return float(rows[0] if (rows == rows[0]).all() else rows.mean())

    @cached_property
    def segment_discount(self) -> Floats:
        """Mean discount drawn over products, shape (S,)."""
        return np.asarray(self.discount_si.sum(axis=1) / self.discount_si.shape[1])

    @cached_property
    def first_lines(self) -> NDArray[np.bool_]:
        """True at the first line of each customer, shape (L,)."""
        first = np.ones(self.lines.customer.size, dtype=bool)
        first[1:] = self.lines.customer[1:] != self.lines.customer[:-1]
        return first

    @cached_property
    def buyers(self) -> int:
        """Customers with a purchase this week."""
        return int(np.count_nonzero(self.first_lines))

    @cached_property
    def first_of_category(self) -> NDArray[np.bool_]:
        """True at the first line of each customer and category, shape (L,)."""
        first = self.first_lines.copy()
        first[1:] |= self.lines.category[1:] != self.lines.category[:-1]
        return first

    @cached_property
    def categories(self) -> int:
        """Categories bought, summed over customers."""
        return int(np.count_nonzero(self.first_of_category))

    @property
    def category_penetration(self) -> float:
        """Categories bought per buyer; 0 without buyers."""
        return self.categories / self.buyers if self.buyers else 0.0

    @cached_property
    def visit_rate(self) -> float:
        """Share of customers who visited."""
        return int(np.count_nonzero(self.visited)) / self.visited.size

    def active(self, weeks: int = RETENTION_WEEKS) -> NDArray[np.bool_]:
        """Who has a purchase in the last min(week, ``weeks``) weeks, shape (U,)."""
        return (self.last_purchase > 0) & (self.last_purchase > self.week - weeks)

    @cached_property
    def retention(self) -> float:
        """Share of customers with a purchase in the last min(week, 4) weeks."""
        return int(np.count_nonzero(self.active())) / self.n_customers

    def info(self) -> dict[str, float]:
        """The figures of a week that an environment reports, as Python floats."""
        return {
            "units": float(self.units),
            "revenue": self.revenue,
            "margin": self.margin,
            "realised_discount": self.realised_discount,
            "effective_discount": self.effective_discount,
            "category_penetration": self.category_penetration,
            "visit_rate": self.visit_rate,
            "active_customers": self.retention * self.n_customers,
            "retention": self.retention,
        }

    def transactions(self) -> pl.DataFrame:
        """The lines as a table.

        Columns: week, customer, category, product, quantity, unit_price [$], discount (share of
        the base price), revenue [$].
        """
        import polars as pl

        return pl.DataFrame(
            {
                "week": np.full(self.lines.category.size, self.week, dtype=np.int64),
                "customer": self.lines.customer,
                "category": self.lines.category,
                "product": self.lines.product,
                "quantity": self.lines.quantity,
                "unit_price": self.unit_price,
                "discount": self.line_discount,
                "revenue": self.line_revenue,
            }
        )
