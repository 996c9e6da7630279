"""Environments: thin glue between an agent and the simulator."""

from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.envs.vector import RetailPricingVectorEnv

__all__ = ["RetailPricingEnv", "RetailPricingVectorEnv"]
