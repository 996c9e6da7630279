"""What the leaderboard runs: the agents on each task, and the order of the work.

Adding an agent to a task is a line in ``FULL``; a task is a :class:`StoreTask`, :class:`PoolTask`
or :class:`CouponTask`, or a class with the same methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from experiments.leaderboard.learners import Learner, PlainLearner
from experiments.leaderboard.tasks import CouponTask, PoolTask, StoreTask, Task
from experiments.references import TASKS
from retail_gym.evaluation.references import ReferenceTask, Seeds

__all__ = ["FULL", "QUICK", "Entry"]


@dataclass(frozen=True)
class Entry:
    """Learners on a task; the work is done in the order of the entries."""

    task: Task
    learners: tuple[Learner, ...]


REVENUE, MARGIN, SEGMENTS = (
    StoreTask(name, TASKS[name])
    for name in ("RetailSynth-v0", "RetailSynthMargin-v0", "RetailSynthSegments-v0")
)
ADAPTIVE: Final = PoolTask()
COUPONS: Final = (
    CouponTask(),
    CouponTask("coupon_driven", label="RetailSynthCoupons-v0 coupon_driven"),
)

#: What matters most comes first, so that a run that is cut short has complete rows.
FULL: Final = (
    Entry(MARGIN, (Learner("ppo"), Learner("sac"))),
    Entry(REVENUE, (Learner("ppo"), Learner("sac"))),
    Entry(ADAPTIVE, (PlainLearner("bayes_adaptive"), Learner("ppo"), Learner("recurrent_ppo"))),
    Entry(SEGMENTS, (Learner("ppo"), Learner("sac"))),
    *(
        Entry(task, tuple(PlainLearner(n) for n in ("linucb", "thompson", "neural_boltzmann")))
        for task in COUPONS
    ),
    Entry(MARGIN, (Learner("cma"),)),
)

_FEW: Final = Seeds(search=1, choice=2, test=8)
#: Minutes: the small store, few stores, short training.
QUICK: Final = (
    Entry(
        StoreTask(
            "RetailSynthMargin-v0",
            ReferenceTask("small-margin", "small", {"reward": "margin"}),
            {"preset": "small"},
            seeds=_FEW,
            label="small-margin",
        ),
        (
            Learner("ppo", 2, 20_000),
            Learner("sac", 2, 5_000),
            Learner("cma", 2, 20_000),
        ),
    ),
    Entry(
        PoolTask(stores=4, episodes=2, label="small-adaptive"),
        (PlainLearner("bayes_adaptive", 2, 3_000),),
    ),
)
