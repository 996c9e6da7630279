"""Several agents at once, behind PettingZoo's interface.

Needs ``pip install "retail-gym[marl]"``::

    from retail_gym.parallel import segment_managers

    env = segment_managers(segments=3, reward="margin")
    observations, infos = env.reset(seed=0)

Where PettingZoo is installed and has a registry, importing this module also makes
``pettingzoo.make("parallel", "retailsynth/segment_managers-v0")`` known.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from retail_gym.envs.parallel import SegmentManagersEnv

__all__ = ["ID", "register_parallel", "segment_managers"]

#: The environment's name in PettingZoo's registry.
ID: Final = "retailsynth/segment_managers-v0"


def segment_managers(*args: Any, **kwargs: Any) -> SegmentManagersEnv:
    """Make the environment of one manager per segment of customers.

    Args:
        *args: the preset (see :class:`~retail_gym.envs.parallel.SegmentManagersEnv`).
        **kwargs: its other arguments: ``segments``, ``reward``, ``reward_mode``, ...

    Raises:
        ImportError: without PettingZoo, saying what to install.
    """
    from retail_gym.envs.parallel import SegmentManagersEnv

    return SegmentManagersEnv(*args, **kwargs)


def register_parallel() -> None:
    """Make the name known to PettingZoo (1.27 or newer), if it is installed. Idempotent."""
    if find_spec("pettingzoo") is None:
        return
    import pettingzoo

    if hasattr(pettingzoo, "register") and ID not in pettingzoo.parallel_registry:
        pettingzoo.register("parallel", ID, entry_point="retail_gym.parallel:segment_managers")


register_parallel()
