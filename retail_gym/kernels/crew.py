"""Threads that do a piece of work together."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final, TypeVar

from retail_gym.config import check_int

Result = TypeVar("Result")

__all__ = ["ALONE", "Crew"]

#: Seconds a thread may keep the interpreter from another that waits; Python's 5 ms is a week.
_PATIENCE: Final = 1e-4


class Crew:
    """Threads, the caller's own among them.

    Args:
        size: how many.
    """

    def __init__(self, size: int = 1) -> None:
        self.size = check_int("threads", size, 1)
        #: Whether what they do is compiled: until then they do it one after the other.
        self.warm = False
        self._pool: ThreadPoolExecutor | None = None  # made when first needed
        self._process = 0

    def run(self, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
        """Do all tasks, at the same time where there are several; the first error is raised."""
        if len(tasks) < 2 or self.size < 2 or not self.warm:
            return [task() for task in tasks]
        if self._pool is None or self._process != os.getpid():  # new, or forked
            self._pool = ThreadPoolExecutor(self.size - 1, "retail_gym")
            self._process = os.getpid()
        interval = sys.getswitchinterval()
        sys.setswitchinterval(min(interval, _PATIENCE))
        futures: list[Future[Result]] = []
        try:
            futures = [self._pool.submit(task) for task in tasks[1:]]
            return [tasks[0](), *(future.result() for future in futures)]
        finally:
            wait(futures)
            sys.setswitchinterval(interval)

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pool": None}  # a copy makes threads of its own


#: The caller's own thread.
ALONE: Final = Crew()
