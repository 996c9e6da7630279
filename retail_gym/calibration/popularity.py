r"""How far the products that sell best are ahead of the others, category by category.

The figure is the probability that two purchases of the category by different customers are of the
same product. Purchases of one customer are left out, for habit makes them alike:

.. math:: h_j = \frac{\sum_{i \in j} (N_i^2 - \sum_u N_{ui}^2)}{N_j^2 - \sum_u N_{uj}^2}

It hangs on the few products that sell most. Spreads of popularity common to all categories, which
fit the many products that seldom sell, leave it too much alike: bananas are most of the tropical
fruit, and no magazine is most of the magazines.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retail_gym.data.table import Transactions

Floats = NDArray[np.float64]

__all__ = ["LARGEST", "LEAST", "RAREST", "Concentration", "concentration", "moved_lead"]

#: Range of the leads. At the lower end the best-selling products come to sell alike.
LEAST: Final = -0.15
LARGEST: Final = 0.6
#: Purchases by which a category's own figure counts half.
HALF: Final = 200.0
#: The least figure that counts: of some categories no two customers bought the same product.
RAREST: Final = 1e-9
#: By how much a lead moves the log of the figure, roughly; larger is more careful.
SLOPE: Final = 8.0


class Concentration(NamedTuple):
    """Of each category."""

    same_j: Floats  # h; nan where no two customers bought it
    rows_j: Floats  # purchases


def concentration(table: Transactions, labels: list[object]) -> Concentration:
    """Measure a table; ``labels``: categories in the store's order, those not among them left out."""
    lines = table.lines
    n_products = int(lines.product.max()) + 1
    place = {label: j for j, label in enumerate(labels)}
    code = np.array([place.get(label, -1) for label in lines.category_labels])
    category_i = np.full(n_products, -1)
    category_i[: lines.product_category.size] = code[lines.product_category]

    def squares(item: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
        """Items bought, and the sum over customers of the square of how often."""
        pairs, n = np.unique(np.stack([item, lines.customer]), axis=1, return_counts=True)
        return pairs[0], n.astype(float) ** 2

    rows_i = np.bincount(lines.product, minlength=n_products).astype(float)
    item, square = squares(lines.product)
    apart_i = rows_i**2 - np.bincount(item, weights=square, minlength=n_products)
    kept = category_i >= 0
    size = len(labels)
    same = np.bincount(category_i[kept], weights=apart_i[kept], minlength=size)
    category_l = code[lines.category]
    rows_j = np.bincount(category_l[category_l >= 0], minlength=size).astype(float)
    item, square = squares(category_l)
    inside = item >= 0
    pairs = rows_j**2 - np.bincount(item[inside], weights=square[inside], minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Concentration(np.where(pairs > 0, same / pairs, np.nan), rows_j)


def moved_lead(lead_j: Floats, real: Concentration, found: Concentration) -> Floats:
    """The leads, moved by the gap of the logs; those of categories that are seldom bought less."""
    gap = np.log(np.maximum(real.same_j, RAREST)) - np.log(np.maximum(found.same_j, RAREST))
    seen = np.minimum(real.rows_j, found.rows_j)
    gap = np.clip(np.where(np.isfinite(gap), gap, 0.0), -1.0, 1.0) * seen / (seen + HALF)
    return np.asarray(np.clip(lead_j + gap / SLOPE, LEAST, LARGEST))
