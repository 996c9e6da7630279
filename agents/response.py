r"""How a store answers discounts: a small model whose coefficients can be learned in weeks.

The share of customers who visit moves as the paper's chain of visits does (eq. 10-12), with one
probability for all customers:

.. math:: v_t = v_{t-1} \sigma(g + \kappa^T s(a_{t-1}) + \lambda e_t) + (1 - v_{t-1})
          \sigma(g + \lambda e_t), \qquad y_t = v_t\, c^T m(a_t)

where a = (d, f) is the action, e = d f the mean discount, y the margin / R0, and s and m are short
polynomials of the action. The coefficients w = (g, \lambda, \kappa, c) of a store have a Gaussian
prior; :meth:`Beliefs.update` finds the most probable w given the weeks seen by Gauss-Newton and
the curvature there (Laplace's approximation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

__all__ = ["SIZE", "Beliefs", "Weeks", "constant_plan", "expected_margin", "first_then", "visits"]


def _stay_basis(action: Floats) -> Floats:
    """s(a): what keeps customers after a week of this action, shape (..., 3)."""
    d, f = action[..., 0], action[..., 1]
    return np.stack([np.ones_like(d), d * f, d * d * f], axis=-1)


def _margin_basis(action: Floats) -> Floats:
    """m(a): margin per visit share; constant where nothing is discounted, shape (..., 8)."""
    d, f = action[..., 0], action[..., 1]
    one = np.ones_like(d)
    terms = [one, d * f, d**2 * f, d**3 * f, d * f**2, d**2 * f**2, d**3 * f**2, d**4 * f]
    return np.stack(terms, axis=-1)


_STAY: Final = 3
_VISIT: Final = 2 + _STAY
#: Number of coefficients w.
SIZE: Final = _VISIT + 8


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))  # no overflow


def visits(w: Floats, last: Floats, before: Floats, action: Floats) -> tuple[Floats, Floats]:
    """Expected visit share of a week, and its derivative by the first coefficients.

    Args:
        w: coefficients, shape (SIZE,).
        last: visit share of the week before, shape (n,).
        before: action of the week before, shape (n, 2).
        action: action of the week, shape (n, 2).

    Returns:
        Shares, shape (n,), and derivatives, shape (n, 5).
    """
    stay = _stay_basis(before)
    pull = action[..., 0] * action[..., 1]
    base = w[0] + w[1] * pull
    back, again = _sigmoid(base), _sigmoid(base + stay @ w[2:_VISIT])
    d_back, d_again = (1.0 - last) * back * (1.0 - back), last * again * (1.0 - again)
    both = (d_back + d_again)[..., None]
    slope = np.concatenate([both, both * pull[..., None], d_again[..., None] * stay], axis=-1)
    return last * again + (1.0 - last) * back, slope


def expected_margin(w: Floats, share: Floats, action: Floats) -> Floats:
    """Margin / R0 of a week with these visits, shape (n,)."""
    return np.asarray(share * (_margin_basis(action) @ w[_VISIT:]))


@dataclass(frozen=True)
class Weeks:
    """Weeks that were seen, one row each."""

    last: Floats  # n: visit share of the week before; NaN where it was not seen
    before: Floats  # n, 2: action of the week before
    action: Floats  # n, 2
    visits: Floats  # n: visit share
    margin: Floats  # n: margin / R0


@dataclass(frozen=True)
class Beliefs:
    """What is believed about a store: a Gaussian law of w, and the noise of a week.

    Args:
        mean: shape (SIZE,).
        covariance: shape (SIZE, SIZE).
        visit_noise: variance of a visit share v is this times v (1 - v).
        margin_noise: variance of a week's margin / R0 is this times v.
    """

    mean: Floats
    covariance: Floats
    visit_noise: float
    margin_noise: float

    def update(self, weeks: Weeks, iterations: int = 6) -> Beliefs:
        """The beliefs after weeks of one store, given these before them."""
        precision = np.linalg.inv(self.covariance)
        w, margin = self.mean.copy(), np.zeros((weeks.margin.size, SIZE))
        share = np.maximum(weeks.visits, 0.01)
        margin[:, _VISIT:] = weeks.visits[:, None] * _margin_basis(weeks.action)
        margin /= np.sqrt(self.margin_noise * share)[:, None]
        target = weeks.margin / np.sqrt(self.margin_noise * share)
        seen = np.isfinite(weeks.last)
        last, before, action = weeks.last[seen], weeks.before[seen], weeks.action[seen]
        slope = np.zeros((last.size, SIZE))
        for _ in range(iterations):
            expected, by = visits(w, last, before, action)
            spread = np.sqrt(self.visit_noise * np.maximum(expected * (1.0 - expected), 0.01))
            slope[:, :_VISIT] = by / spread[:, None]
            residual = (weeks.visits[seen] - expected) / spread
            curvature = precision + slope.T @ slope + margin.T @ margin
            step = slope.T @ residual + margin.T @ (target - margin @ w)
            move = np.linalg.solve(curvature, step - precision @ (w - self.mean))
            # Far from the answer a full step may overshoot; one prior deviation is far.
            size = np.sqrt(np.max(move[:_VISIT] ** 2 / np.diag(self.covariance)[:_VISIT]))
            w = w + move / max(1.0, size)
            if size < 1e-6:
                break
        covariance = np.asarray(np.linalg.inv(curvature), dtype=np.float64)
        return Beliefs(w, covariance, self.visit_noise, self.margin_noise)


def _kept(w: Floats, share: Floats, action: Floats, weeks: int) -> Floats:
    r"""Expected margin of further weeks of an action that is already there, shape (P,).

    With constant probabilities the visits go geometrically to their limit,
    :math:`v_t = v^* + (v_0 - v^*) \rho^t`, so their sum needs no loop.
    """
    base = w[0] + w[1] * action[..., 0] * action[..., 1]
    back, again = _sigmoid(base), _sigmoid(base + _stay_basis(action) @ w[2:_VISIT])
    rho = np.minimum(again - back, 1.0 - 1e-9)
    limit = back / (1.0 - rho)
    total = weeks * limit + (share - limit) * rho * (1.0 - rho**weeks) / (1.0 - rho)
    return total * (_margin_basis(action) @ w[_VISIT:])


def constant_plan(
    w: Floats, share: float, before: Floats, actions: Floats, weeks: int
) -> tuple[int, Floats]:
    """The best action to keep for the weeks that are left.

    Args:
        w: coefficients.
        share: last week's visit share.
        before: last week's action, shape (2,).
        actions: actions to choose from, shape (P, 2).
        weeks: weeks left.

    Returns:
        Its number and the expected margin of every action, shape (P,).
    """
    now, value = _week(w, share, before, actions)
    total = value + _kept(w, now, actions, weeks - 1)
    return int(total.argmax()), total


def _week(w: Floats, share: float, before: Floats, actions: Floats) -> tuple[Floats, Floats]:
    """Expected visit share and margin of one week of each action, shapes (P,)."""
    start, first = np.full(len(actions), share), np.broadcast_to(before, actions.shape)
    now, _ = visits(w, start, first, actions)
    return now, expected_margin(w, now, actions)


def first_then(w: Floats, share: float, before: Floats, actions: Floats, weeks: int) -> int:
    """The best action of one week before the best constant plan (one step of improvement)."""
    best, _ = constant_plan(w, share, before, actions, weeks)
    now, value = _week(w, share, before, actions)
    if weeks > 1:
        later = np.broadcast_to(actions[best], actions.shape)
        then, _ = visits(w, now, actions, later)
        value = value + expected_margin(w, then, later) + _kept(w, then, later, weeks - 2)
    return int(value.argmax())
