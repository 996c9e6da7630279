"""Environments: thin glue between an agent and the simulator."""

from retail_gym.envs.adaptive import RetailAdaptiveEnv
from retail_gym.envs.adaptive_vector import RetailAdaptiveVectorEnv
from retail_gym.envs.discrete import DiscretePricing, DiscretePricingVector
from retail_gym.envs.multi_objective import MultiObjectivePricingEnv
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.envs.vector import RetailPricingVectorEnv

__all__ = [
    "DiscretePricing",
    "DiscretePricingVector",
    "MultiObjectivePricingEnv",
    "RetailAdaptiveEnv",
    "RetailAdaptiveVectorEnv",
    "RetailPricingEnv",
    "RetailPricingVectorEnv",
]
