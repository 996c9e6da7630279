"""Learning agents: recipes over libraries, searches, trained models.

``agents.load(path)`` and ``agents.load_pretrained(name)`` give policies that run in NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.loading import load, load_pretrained, pretrained_names
    from agents.registry import AGENTS

__all__ = ["AGENTS", "load", "load_pretrained", "pretrained_names"]


def __getattr__(name: str) -> Any:
    # On first use, so that `python -m agents.train` imports no more than it needs.
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module 'agents' has no attribute {name!r}")
    return getattr(import_module("agents.registry" if name == "AGENTS" else "agents.loading"), name)
