"""The world: catalogue, customers and coefficients, drawn once per store."""

from retail_gym.world.layers import Layers
from retail_gym.world.pool import PoolConfig, PriorRange, StorePool
from retail_gym.world.presets import preset_names
from retail_gym.world.store_config import PromotionPlan, StoreConfig
from retail_gym.world.world import World, make_world

__all__ = [
    "Layers",
    "PoolConfig",
    "PriorRange",
    "PromotionPlan",
    "StoreConfig",
    "StorePool",
    "World",
    "make_world",
    "preset_names",
]
