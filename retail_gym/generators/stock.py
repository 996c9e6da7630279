"""Embeddings of products, and of the stock of each week as a mean over the products in it.

Stock embeddings, unweighted and weighted, condition the GAN of Tkachuk, Lukasik and Wroblewska
(arXiv 2408.03655). They know the stock of every shop and day and weight by it; from purchases
only what was sold is known, so the weight is an availability: the share of the weeks around a
week in which the product was on the shelf.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import svds

from retail_gym.generators.records import Records
from retail_gym.generators.shelf import Shelf

Floats = NDArray[np.float64]

__all__ = ["STOCKS", "bought_together", "on_the_shelf", "stock_embedding"]

DIMENSIONS: Final = 12
#: Weeks on either side that availability looks at.
_AROUND: Final = 2


def bought_together(records: Records, shelf: Shelf) -> Floats:
    """Product embeddings from baskets, shape (I, D): products bought together are close.

    Left singular vectors of the positive pointwise mutual information of products and categories
    in a basket, which is what word2vec factorises implicitly (Levy and Goldberg 2014).
    """
    lines = records.baskets.lines
    n_products, n_categories = shelf.product_labels.size, shelf.n_categories
    trip = records.baskets.trip_of_line
    has = sparse.csr_array(
        (np.ones(trip.size), (lines.product, trip)), shape=(n_products, records.baskets.n_trips)
    )
    together = (has @ records.bought_kj.astype(np.float64)).reshape(n_products, n_categories)
    # A product's own category is in every basket that has it.
    together[np.arange(n_products), lines.product_category] = 0.0
    expected = together.sum(axis=1, keepdims=True) * together.sum(axis=0) / max(together.sum(), 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        information = np.nan_to_num(np.log(together / expected), nan=0.0, neginf=0.0)
    kept = min(DIMENSIONS, min(together.shape) - 1)
    start = np.ones(min(together.shape))
    left, weight, _ = svds(np.maximum(information, 0.0), k=kept, v0=start)
    return np.asarray(left * np.sqrt(weight))


def on_the_shelf(shelf: Shelf, seed: int) -> Floats:
    """Product embeddings from shelf facts alone, shape (I, D): category and base price.

    Random directions of the categories; the logarithm of the mean base price is the last column.
    """
    rng = np.random.default_rng([seed, 1])
    direction_jd = rng.standard_normal((shelf.n_categories, DIMENSIONS - 1))
    n_products = shelf.product_labels.size
    offers = np.bincount(shelf.product_o, minlength=n_products)
    price = np.bincount(shelf.product_o, weights=np.log(shelf.base_price_o), minlength=n_products)
    category = np.zeros(n_products, dtype=np.int64)
    category[shelf.product_o] = shelf.category_o
    return np.column_stack([direction_jd[category], price / offers])


def _presence(shelf: Shelf, n_weeks: int) -> Floats:
    present = np.zeros((n_weeks, shelf.product_labels.size))
    present[shelf.week_o - 1, shelf.product_o] = 1.0
    return present


def _availability(shelf: Shelf, n_weeks: int) -> Floats:
    present = _presence(shelf, n_weeks)
    total = np.cumsum(np.vstack([np.zeros((1, present.shape[1])), present]), axis=0)
    week = np.arange(n_weeks)
    low, high = np.maximum(week - _AROUND, 0), np.minimum(week + _AROUND + 1, n_weeks)
    around = (total[high] - total[low]) / (high - low)[:, None]
    return np.asarray(np.where(present > 0, around, 0.0))


#: How a week's stock is weighted: name -> weights (T, I).
STOCKS: Final[dict[str, Callable[[Shelf, int], Floats]]] = {
    "unweighted": _presence,
    "weighted": _availability,
}


def stock_embedding(shelf: Shelf, embedding_id: Floats, weights: str, n_weeks: int) -> Floats:
    """Embedding of each week's stock, shape (T, D): mean 0 and sd 1 over weeks.

    Args:
        shelf: the offers.
        embedding_id: of the products, shape (I, D).
        weights: a key of :data:`STOCKS`.
        n_weeks: T.
    """
    weight_ti = STOCKS[weights](shelf, n_weeks)
    total = np.maximum(weight_ti.sum(axis=1, keepdims=True), 1e-12)
    mean_td = weight_ti @ embedding_id / total
    spread = mean_td.std(axis=0)
    return np.asarray((mean_td - mean_td.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0))
