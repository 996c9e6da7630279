"""Layer on product choice: several different products of a category in one basket."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym.model.product_choice import choose_product

Floats = NDArray[np.float64]

__all__ = ["choose_another", "further_rate"]


def further_rate(rate_j: ArrayLike, basket_weight: float, basket_effect: ArrayLike) -> Floats:
    r"""Mean number of products beyond the first of a purchased category.

    .. math:: l_j\, e^{\kappa (\eta_u + b_{ut})}

    The number itself is Poisson with a gamma-distributed rate of this mean
    (:func:`retail_gym.rng.negative_binomial_quantile`).

    Args:
        rate_j: means l of the average trip, shape (J,).
        basket_weight: kappa.
        basket_effect: the customer's and the trip's basket effects, scalar or shape (U, 1).

    Returns:
        Means, shape (J,) or (U, J).

    Source: not in the paper, which allows one product a category.
    """
    return np.asarray(np.asarray(rate_j) * np.exp(basket_weight * np.asarray(basket_effect)))


def choose_another(utility_k: ArrayLike, taken: ArrayLike, uniform: float) -> int | None:
    r"""The next product: the logit of eq. 4 among those not yet in the basket.

    Repeated, it gives the ordered sample without replacement of Plackett and Luce, which is also
    the law of the n largest of :math:`\mu_k` + Gumbel noise.

    Args:
        utility_k: utilities of one customer in one category, shape (K,); -inf: not on the shelf.
        taken: positions already chosen.
        uniform: a draw in (0, 1).

    Returns:
        Position of the product; None if nothing is left.

    Source: eq. 3-4 applied again.
    """
    left = np.array(utility_k, dtype=np.float64)
    left[np.asarray(taken, dtype=np.int64)] = -np.inf
    return choose_product(left, uniform) if left.max() > -np.inf else None
