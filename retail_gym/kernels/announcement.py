"""A line on the terminal where otherwise there would be a silent pause."""

from __future__ import annotations

import sys
from typing import Any

from numba.core import event

__all__ = ["announce"]


class _Announcement(event.Listener):
    """Says once that the kernel is being compiled, instead of leaving a silent pause."""

    said = False

    def on_start(self, event: Any) -> None:
        """A function begins to compile."""
        name = str(getattr(event.data.get("dispatcher"), "__module__", ""))
        if not self.said and name.startswith("retail_gym"):
            self.said = True
            print("retail_gym: compiling the kernel, once, a few seconds ...", file=sys.stderr)

    def on_end(self, event: Any) -> None:
        """A function is compiled."""


def announce() -> None:
    """Say it of compilations from now on."""
    event.register("numba:compile", _Announcement())  # type: ignore[no-untyped-call]
