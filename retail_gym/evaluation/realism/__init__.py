"""Realism: is a simulated table of purchases like a real one?

``compare(real, simulated, noise_ceiling(...))`` scores eleven distributions (``distributions``),
the lift of category pairs (``lift``) and diagnostics of how purchases hang together (``joint``).
For a search, ``score(real_profile, profile(table))`` is one evaluation.
"""

from retail_gym.evaluation.realism.ceilings import Ceiling, noise_ceiling
from retail_gym.evaluation.realism.distributions import (
    DISTRIBUTIONS,
    HEADLINE,
    Empirical,
    ks_complement,
)
from retail_gym.evaluation.realism.joint import JOINT
from retail_gym.evaluation.realism.lift import PairAgreement, PairLifts, pair_agreement
from retail_gym.evaluation.realism.scores import (
    SCORES,
    Profile,
    RealismReport,
    compare,
    profile,
    score,
    upstream_scores,
)

__all__ = [
    "DISTRIBUTIONS",
    "HEADLINE",
    "JOINT",
    "SCORES",
    "Ceiling",
    "Empirical",
    "PairAgreement",
    "PairLifts",
    "Profile",
    "RealismReport",
    "compare",
    "ks_complement",
    "noise_ceiling",
    "pair_agreement",
    "profile",
    "score",
    "upstream_scores",
]
