"""Evaluation: running policies, measuring what happened, comparing with intervals."""

from retail_gym.evaluation.climb import best_schedule, climb
from retail_gym.evaluation.metrics import METRICS, RunMetrics
from retail_gym.evaluation.references import normalised_score, reference_scores
from retail_gym.evaluation.rollout import Run, evaluate, simulate
from retail_gym.evaluation.search import StaticSearch, TargetedSearch, best_static, best_targeted
from retail_gym.evaluation.statistics import (
    Interval,
    bootstrap_iqm,
    bootstrap_mean,
    interquartile_mean,
    paired_difference,
    probability_of_improvement,
)

__all__ = [
    "METRICS",
    "Interval",
    "Run",
    "RunMetrics",
    "StaticSearch",
    "TargetedSearch",
    "best_schedule",
    "best_static",
    "best_targeted",
    "bootstrap_iqm",
    "bootstrap_mean",
    "climb",
    "evaluate",
    "interquartile_mean",
    "normalised_score",
    "paired_difference",
    "probability_of_improvement",
    "reference_scores",
    "simulate",
]
