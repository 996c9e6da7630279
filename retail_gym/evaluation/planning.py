r"""The best plan of a whole horizon in the chain of visits, and what each state is worth.

A customer's state is whether they visited last week (then last week's action matters, through
the store value they remember) and, where the reward counts active customers, the weeks since
their last purchase. Given the actions of all weeks every customer is a small Markov chain, so
expected return and the worth of each state follow exactly from one pass backwards. A plan is
improved week by week, each time to the best action given all others, until no single week can be
improved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retail_gym.evaluation.response import Response, VisitReward
from retail_gym.outcome import RETENTION_WEEKS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["Chain", "Plan", "State", "Worth"]


@dataclass(frozen=True)
class State:
    """Where customers stand before a week: a probability of each state, or 0 and 1."""

    visited_ua: Floats  # U, A: visited last week, A by weeks since the last purchase
    away_ua: Floats  # U, A: did not
    action: int  # last week's
    first: bool = False  # the first week of a store's life, in which everybody visits


class Worth(NamedTuple):
    """Expected reward of all weeks to come, by state."""

    visited_kua: Floats  # K, U, A: visited in the week before, by that week's action
    away_ua: Floats  # U, A


class Plan(NamedTuple):
    """Actions of all weeks, as indices into the response's, and their expected return."""

    actions_t: Ints
    value: float


class Chain:
    """Visits of some customers who meet the same actions.

    Args:
        response: what a visit brings.
        reward: the reward in terms of visits.
        customers: customer numbers; default everybody.
    """

    def __init__(
        self, response: Response, reward: VisitReward, customers: Ints | None = None
    ) -> None:
        total = response.revenue_ku.shape[1]
        rows = np.arange(total) if customers is None else customers
        self.customers = rows
        self.response = replace(
            response,
            store_value_ku=response.store_value_ku[:, rows],
            buys_ku=response.buys_ku[:, rows],
            revenue_ku=response.revenue_ku[:, rows],
            list_revenue_ku=response.list_revenue_ku[:, rows],
        )
        self._reward_ku = reward.visit_ku[:, rows]
        # Ages 0..3: bought in the last four weeks; 4: not. One age where it does not count.
        self.n_ages = RETENTION_WEEKS + 1 if reward.active else 1
        self._active_a = np.zeros(self.n_ages)
        self._active_a[:RETENTION_WEEKS] = reward.active / total
        self._older = np.minimum(np.arange(self.n_ages) + 1, self.n_ages - 1)

    def before_first_week(self) -> State:
        """Nobody has visited or bought, and everybody will come."""
        away = np.zeros((self.customers.size, self.n_ages))
        away[:, -1] = 1.0
        return State(np.zeros_like(away), away, 0, first=True)

    def observed(
        self, visited_u: NDArray[np.bool_], weeks_since_u: Ints, last_action: int
    ) -> State:
        """The state of customers who were seen.

        Args:
            visited_u: who visited last week, of these customers.
            weeks_since_u: weeks since the last purchase, 0 for last week's; large for never.
            last_action: last week's action.
        """
        age_u = np.minimum(weeks_since_u, self.n_ages - 1)
        here = np.zeros((self.customers.size, self.n_ages))
        here[np.arange(age_u.size), age_u] = 1.0
        seen = visited_u[:, None]
        return State(here * seen, here * ~seen, last_action)

    def _probabilities(self, state: State, action: int | slice) -> tuple[Floats, Floats]:
        """Visit probabilities of those who visited last week and of the others, (K, U) or (U,)."""
        now = np.arange(len(self.response.actions))[action]
        if state.first:
            one = np.ones((*np.shape(now), 1))
            return one, one
        return (
            self.response.visit_probability(state.action, now),
            self.response.visit_probability(None, now),
        )

    def after(self, state: State, action: int) -> State:
        """The distribution after a week."""
        stay, back = self._probabilities(state, action)
        come_ua = state.visited_ua * stay[:, None] + state.away_ua * back[:, None]
        gone_ua = state.visited_ua + state.away_ua - come_ua
        buys_u = self.response.buys_ku[action]
        visited, away = np.zeros_like(come_ua), np.zeros_like(come_ua)
        for age, older in enumerate(self._older):
            visited[:, older] += (1.0 - buys_u) * come_ua[:, age]
            away[:, older] += gone_ua[:, age]
        visited[:, 0] += buys_u * come_ua.sum(axis=1)
        return State(visited, away, action)

    def nothing_more(self) -> Worth:
        """The worth of every state after the last week: nothing."""
        shape = (len(self.response.actions), self.customers.size, self.n_ages)
        return Worth(np.zeros(shape), np.zeros(shape[1:]))

    def _branches(self, worth: Worth, action: int | slice) -> tuple[Floats, Floats]:
        """Worth of coming this week under an action (..., U, A), and of staying away (U, A)."""
        buys = self.response.buys_ku[action][..., None]
        then = worth.visited_kua[action]
        come = (
            self._reward_ku[action][..., None]
            + buys * (self._active_a[0] + then[..., :1])
            + (1.0 - buys) * (self._active_a + then)[..., self._older]
        )
        return come, (self._active_a + worth.away_ua)[:, self._older]

    def scores(self, state: State, worth: Worth) -> Floats:
        """Expected return of every action this week, shape (K,).

        Args:
            state: before the week.
            worth: of the states after it.
        """
        come_kua, away_ua = self._branches(worth, slice(None))
        stay, back = self._probabilities(state, slice(None))
        gain_kua = come_kua - away_ua
        total = stay * np.einsum("kua,ua->ku", gain_kua, state.visited_ua)
        total = total + back * np.einsum("kua,ua->ku", gain_kua, state.away_ua)
        constant = float((away_ua * (state.visited_ua + state.away_ua)).sum())
        return np.asarray(total.sum(axis=1) + constant)

    def worth_before(self, action: int, worth: Worth) -> Worth:
        """Worth of the states before a week, other than the first, given its action."""
        come_ua, away_ua = self._branches(worth, action)
        every = np.arange(len(self.response.actions))
        stay_ku = self.response.visit_probability(every, action)
        back_u = self.response.visit_probability(None, action)
        gain_ua = come_ua - away_ua
        return Worth(away_ua + stay_ku[..., None] * gain_ua, away_ua + back_u[:, None] * gain_ua)

    def worths(self, actions_t: Sequence[int] | Ints) -> list[Worth]:
        """Worth of the states after each week of a plan, shape of the list (T,)."""
        worths = [self.nothing_more()]
        for action in reversed([int(k) for k in actions_t[1:]]):
            worths.append(self.worth_before(action, worths[-1]))
        return worths[::-1]

    def value(self, actions_t: Sequence[int] | Ints, start: State) -> float:
        """Expected return of a plan."""
        worth = self.worths(actions_t)[0]
        return float(self.scores(start, worth)[actions_t[0]])

    def improve(self, actions_t: Sequence[int] | Ints, start: State, sweeps: int = 40) -> Plan:
        """Improve a plan until no week can be improved alone.

        Args:
            actions_t: a plan to start from, indices of actions.
            start: the state before the first week.
            sweeps: passes over the weeks, at most.

        Returns:
            A plan at least as good.
        """
        plan = np.array(actions_t, dtype=np.int64)
        value = self.value(plan, start)
        for _ in range(sweeps):
            states = [start]
            for action in plan[:-1]:
                states.append(self.after(states[-1], int(action)))
            worth, changed = self.nothing_more(), False
            for t in reversed(range(plan.size)):
                scores = self.scores(states[t], worth)
                best = int(scores.argmax())
                if scores[best] > scores[plan[t]] + 1e-10:
                    plan[t], changed = best, True
                value = float(scores[plan[t]])
                if t:
                    worth = self.worth_before(int(plan[t]), worth)
            if not changed:
                break
        return Plan(plan, value)

    def best_plan(self, weeks: int, start: State) -> Plan:
        """The best plan found from several starts: constant ones, the myopic one, pulses."""
        n = len(self.response.actions)
        level = np.array([self.value([k] * weeks, start) for k in range(n)])
        static = int(level.argmax())
        myopic, state, none = [], start, self.nothing_more()
        for _ in range(weeks):
            myopic.append(int(self.scores(state, none).argmax()))
            state = self.after(state, myopic[-1])
        deepest = n - 1
        starts = [[static] * weeks, myopic]
        starts += [[(deepest, 0)[(t + shift) % 2] for t in range(weeks)] for shift in (0, 1)]
        starts += [[deepest if t % 4 == 0 else static for t in range(weeks)]]
        return max((self.improve(plan, start) for plan in starts), key=lambda plan: plan.value)
