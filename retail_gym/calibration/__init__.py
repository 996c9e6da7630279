"""Calibration: a store whose purchases are like those of a real table.

``calibrate(Target.of(table))`` reads off what a table says without simulation, then searches the
rest block by block, each on the measures of realism it governs: visits, tastes and baskets,
products with the response to prices, items, base prices. On the command line:
``retail-gym calibrate``.
"""

from retail_gym.calibration.pipeline import EFFORTS, Calibration, Effort, Stage, calibrate
from retail_gym.calibration.report import Judgement, judge
from retail_gym.calibration.target import Target

__all__ = [
    "EFFORTS",
    "Calibration",
    "Effort",
    "Judgement",
    "Stage",
    "Target",
    "calibrate",
    "judge",
]
