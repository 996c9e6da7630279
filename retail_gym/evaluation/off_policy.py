r"""Off-policy evaluation: what a policy would have earned, from the log of another.

With the ratios :math:`\rho_t = \pi(a_t \mid s_t) / \mu(a_t \mid s_t)` of target and logging policy,
their products :math:`w_{it} = \prod_{k \le t} \rho_{ik}` and discounts :math:`\gamma^{t-1}`:

| name | estimate of the value | of one week each (bandit) | source |
|---|---|---|---|
| ``is`` | :math:`\frac1N \sum_i w_{iT} \sum_t \gamma^{t-1} r_{it}` | IPS | Precup, Sutton and Singh 2000 |
| ``wis`` | :math:`\sum_i w_{iT} \sum_t \gamma^{t-1} r_{it} / \sum_i w_{iT}` | SNIPS | the same; Swaminathan and Joachims 2015 |
| ``pdis`` | :math:`\frac1N \sum_i \sum_t \gamma^{t-1} w_{it} r_{it}` | IPS | Precup, Sutton and Singh 2000 |
| ``wpdis`` | :math:`\sum_t \gamma^{t-1} \sum_i w_{it} r_{it} / \sum_i w_{it}` | SNIPS | Thomas 2015 (consistent weighted per-decision) |
| ``dr`` | :math:`\frac1N \sum_i \sum_t \gamma^{t-1} (w_{it}(r_{it} - \hat q_{it}) + w_{i,t-1} \hat v_{it})` | doubly robust | Jiang and Li 2016 (arXiv 1511.03722); Dudik, Langford and Li 2011 (arXiv 1103.4601) |
| ``wdr`` | ``dr`` with :math:`w_{it}` divided by :math:`\frac1N \sum_j w_{jt}` | self-normalised doubly robust | Thomas and Brunskill 2016 (arXiv 1604.00923) |
| ``fqe`` | :math:`\frac1N \sum_i \hat V_T(s_{i1})` | direct method | Le, Voloshin and Yue 2019; :mod:`.critics` |

``is``, ``pdis`` and ``dr`` are unbiased if the propensities are right (for ``dr`` the critic is
fitted on the other folds); the weighted ones are biased at small N and vary far less; ``fqe`` has
the bias of its regression and no variance of ratios. Intervals are percentiles of a bootstrap over
clusters of trajectories: they see the spread of what was logged, neither the bias of a regression
nor the rare trajectory with a huge ratio that has not been logged. Where the effective sample size
(Kong 1992) at the last week,

.. math:: \mathrm{ESS} = \bigl(\textstyle\sum_i w_{iT}\bigr)^2 / \sum_i w_{iT}^2,

is small, believe no estimate that uses the ratios, nor its interval: :class:`OverlapWarning`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_choice, check_finite, check_int
from retail_gym.evaluation.critics import Critic, Prepared, QuadraticRidge, Values
from retail_gym.evaluation.statistics import Interval
from retail_gym.evaluation.trajectories import Trajectories

Floats = NDArray[np.float64]

__all__ = [
    "ESTIMATORS",
    "Estimate",
    "OverlapWarning",
    "effective_sample_size",
    "off_policy",
]

#: Below this effective number of trajectories the mean of a few decides.
FEW: Final = 10.0


class OverlapWarning(UserWarning):
    """The logging policy hardly ever did what the target does."""


@dataclass(frozen=True)
class Estimate:
    """An estimate of the value of a policy."""

    value: float  # sum over the weeks, mean over trajectories, in units of the rewards
    interval: Interval  # bootstrap; its ends are NaN without resamples or with one cluster
    effective: float  # effective sample size of the ratios at the last week, trajectories


def effective_sample_size(data: Trajectories) -> Floats:
    """Effective number of trajectories at each week, shape (T,); 0 where every product is 0."""
    w = np.cumprod(data.ratios, axis=1)
    w = w / np.maximum(w.max(axis=0), 1e-300)
    total = w.sum(axis=0)
    share = np.divide(total**2, (w**2).sum(axis=0), out=np.zeros_like(total), where=total > 0.0)
    return np.asarray(share)


class _Ready:
    """Sums over clusters that the estimators and their bootstrap share."""

    def __init__(self, data: Trajectories, gamma: float, critic: Critic, folds: int) -> None:
        self.data, self.gamma, self.folds = data, gamma, folds
        self.clusters = data.clusters
        self.n_clusters = int(self.clusters.max()) + 1
        self.w: Floats = np.asarray(np.cumprod(data.ratios, axis=1))
        self.discount = gamma ** np.arange(data.horizon)
        self.size = self.sums(np.ones(len(data)))
        self._critic = critic

    def sums(self, values: Floats) -> Floats:
        """Sums over the trajectories of each cluster, (C, ...)."""
        total = np.zeros((self.n_clusters, *values.shape[1:]))
        np.add.at(total, self.clusters, values)
        return total

    @cached_property
    def returns(self) -> Floats:
        """Discounted sums of rewards, (N,)."""
        return np.asarray(self.data.rewards @ self.discount)

    @cached_property
    def critic(self) -> Prepared:
        """The critic with its data."""
        return self._critic.prepare(self.data, self.gamma)

    @cached_property
    def values(self) -> Values:
        """What a critic that has not seen a cluster says of it."""
        folds = min(self.folds, self.n_clusters)
        if folds < 2:
            raise ValueError(
                "a doubly robust estimate needs at least two independent trajectories: the critic "
                "is fitted on the others"
            )
        fold_c = np.arange(self.n_clusters) % folds
        q, v = np.empty_like(self.data.rewards), np.empty_like(self.data.rewards)
        for fold in range(folds):
            fitted = self.critic.fit((fold_c != fold).astype(np.float64))
            rows = fold_c[self.clusters] == fold
            q[rows], v[rows] = fitted.q[rows], fitted.v[rows]
        return Values(q, v)

    @cached_property
    def before(self) -> Floats:
        """Products up to the week before, (N, T)."""
        return np.concatenate([np.ones((len(self.data), 1)), self.w[:, :-1]], axis=1)

    def mean(self, values: Floats, counts: Floats) -> Floats:
        """Mean over trajectories for each row of counts, (B,)."""
        return np.asarray((counts @ self.sums(values)) / (counts @ self.size))

    def normalised(self, weights: Floats, values: Floats, counts: Floats) -> Floats:
        """Weighted means, NaN where no trajectory has weight: (B, ...)."""
        top, bottom = counts @ self.sums(weights * values), counts @ self.sums(weights)
        return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0.0)


def _is(ready: _Ready, counts: Floats) -> Floats:
    return ready.mean(ready.w[:, -1] * ready.returns, counts)


def _wis(ready: _Ready, counts: Floats) -> Floats:
    return ready.normalised(ready.w[:, -1], ready.returns, counts)


def _pdis(ready: _Ready, counts: Floats) -> Floats:
    return ready.mean((ready.w * ready.data.rewards) @ ready.discount, counts)


def _wpdis(ready: _Ready, counts: Floats) -> Floats:
    return ready.normalised(ready.w, ready.data.rewards, counts) @ ready.discount


def _dr(ready: _Ready, counts: Floats) -> Floats:
    q, v = ready.values
    terms = ready.w * (ready.data.rewards - q) + ready.before * v
    return ready.mean(terms @ ready.discount, counts)


def _wdr(ready: _Ready, counts: Floats) -> Floats:
    q, v = ready.values
    left = ready.normalised(ready.w, ready.data.rewards - q, counts)
    return (left + ready.normalised(ready.before, v, counts)) @ ready.discount


def _fqe(ready: _Ready, counts: Floats) -> Floats:
    return ready.critic.start_values(counts)


#: Estimators by name: counts of each cluster (B, C) -> estimates (B,).
ESTIMATORS: Final[dict[str, Callable[[_Ready, Floats], Floats]]] = {
    "is": _is,
    "wis": _wis,
    "pdis": _pdis,
    "wpdis": _wpdis,
    "dr": _dr,
    "wdr": _wdr,
    "fqe": _fqe,
}
#: Those that read no ratios.
_WITHOUT_RATIOS: Final = ("fqe",)


def off_policy(
    data: Trajectories,
    estimators: Sequence[str] = tuple(ESTIMATORS),
    *,
    gamma: float = 1.0,
    critic: Critic | None = None,
    folds: int = 5,
    level: float = 0.95,
    resamples: int = 1_000,
    refits: int = 200,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Estimate the value of the target policy.

    Args:
        data: of :func:`~retail_gym.evaluation.trajectories.trajectories`; ``data.as_bandit()``
            for the value of one week in the states that were logged.
        estimators: names of :data:`ESTIMATORS`.
        gamma: discount factor of a week, in [0, 1]; 1 is the score of the tasks.
        critic: regression of ``dr``, ``wdr`` and ``fqe``, by default :class:`QuadraticRidge`.
        folds: of the cross-fit of ``dr`` and ``wdr``.
        level: of the intervals, in (0, 1).
        resamples: of the bootstrap; 0 for no intervals. The doubly robust ones keep their critic.
        refits: resamples of ``fqe``, which fits its critic anew (Hao et al. 2021, arXiv 2102.03607).
        seed: of the bootstrap.

    Returns:
        An estimate for each name. A weighted estimate is NaN where every product of ratios is 0.

    Warns:
        OverlapWarning: where the ratios of fewer than ten trajectories decide.

    Raises:
        ValueError: for an unknown name or a number out of range.
    """
    for name in estimators:
        check_choice("estimator", name, ESTIMATORS)
    gamma = check_finite("gamma", gamma, 0.0, 1.0)
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}")
    ready = _Ready(data, gamma, critic or QuadraticRidge(), check_int("folds", folds, 2))
    effective = float(effective_sample_size(data)[-1])
    if effective < FEW and set(estimators) - set(_WITHOUT_RATIOS):
        warnings.warn(
            f"the {len(data)} logged trajectories of {data.horizon} weeks weigh as much as "
            f"{effective:.1f} of the target policy: do not trust estimates that use the ratios, "
            "nor their intervals. Log more, evaluate fewer weeks or a policy closer to the log's",
            OverlapWarning,
            stacklevel=2,
        )
    c = ready.n_clusters
    drawn = check_int("resamples", resamples, 0) if c > 1 else 0
    generator = np.random.default_rng(seed)
    counts: Floats = generator.multinomial(c, np.full(c, 1.0 / c), size=drawn).astype(np.float64)
    estimates = {}
    for name in estimators:
        estimate = ESTIMATORS[name]
        value = float(estimate(ready, np.ones((1, c)))[0])
        rows = counts[: check_int("refits", refits, 0)] if name in _WITHOUT_RATIOS else counts
        estimates[name] = Estimate(
            value, _percentiles(value, estimate(ready, rows), level), effective
        )
    return estimates


def _percentiles(value: float, drawn: Floats, level: float) -> Interval:
    """Percentiles of the resamples in which there was an estimate."""
    finite = drawn[np.isfinite(drawn)]
    if not finite.size:
        return Interval(value, np.nan, np.nan)
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(finite, [tail, 100.0 - tail])
    return Interval(value, float(low), float(high))
