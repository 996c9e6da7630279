"""What the layers have in common: fields that are priors, numbers in a range or switches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import ClassVar, Final

from retail_gym.config import check_finite, check_int
from retail_gym.world.priors import Prior, as_prior

__all__ = ["CORRELATION", "SD", "SHAPE", "SHARE", "Layer", "PriorLike"]

PriorLike = Prior | float


class Layer:
    """Base of the layers: priors are read, numbers are checked against :attr:`ranges`."""

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}

    def __post_init__(self) -> None:
        what = type(self).__name__
        for item in fields(self):  # type: ignore[arg-type]
            name, value = item.name, getattr(self, item.name)
            if isinstance(value, tuple | list) and "tuple" in str(item.type):
                value = tuple(as_prior(f"{what}.{name}", law) for law in value)
            elif str(item.type).startswith("PriorLike"):
                if value is not None or "None" not in str(item.type):
                    value = as_prior(f"{what}.{name}", value)
            elif item.type == "bool":
                if not isinstance(value, bool):
                    raise ValueError(f"{what}.{name} must be true or false, got {value!r}")
            elif item.type == "int":
                low, high = self.ranges[name]
                value = check_int(f"{what}.{name}", value, int(low), int(high))
            else:
                value = check_finite(f"{what}.{name}", value, *self.ranges[name])
            object.__setattr__(self, name, value)

    def prior(self, name: str) -> Prior:
        """The prior of a symbol."""
        prior: Prior = getattr(self, name)
        return prior


SHARE: Final = (0.0, 1.0)
CORRELATION: Final = (-1.0, 1.0)
SD: Final = (0.0, 10.0)
SHAPE: Final = (1e-3, 1e6)
