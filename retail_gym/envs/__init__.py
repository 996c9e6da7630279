"""Environments: thin glue between an agent and the simulator."""

from retail_gym.envs.pricing import RetailPricingEnv

__all__ = ["RetailPricingEnv"]
