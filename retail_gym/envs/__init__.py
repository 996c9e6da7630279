"""Environments: thin glue between an agent and the simulator."""

from retail_gym.envs.adaptive import RetailAdaptiveEnv
from retail_gym.envs.adaptive_vector import RetailAdaptiveVectorEnv
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.envs.vector import RetailPricingVectorEnv

__all__ = [
    "RetailAdaptiveEnv",
    "RetailAdaptiveVectorEnv",
    "RetailPricingEnv",
    "RetailPricingVectorEnv",
]
