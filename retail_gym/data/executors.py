"""Who works on the parts of a dataset: this process, several, or a Ray cluster."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

import numpy as np

from retail_gym.config import check_choice, check_int
from retail_gym.simulator import Simulator
from retail_gym.world.presets import load_config
from retail_gym.world.world import build_world

Task = TypeVar("Task")
Result = TypeVar("Result")

__all__ = ["EXECUTORS", "Executor", "Pool", "Ray", "make_executor"]


class Executor(Protocol):
    """Does tasks and gives their results as they come, in any order."""

    def run(
        self, work: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Generator[Result, None, None]: ...


@dataclass(frozen=True)
class Pool:
    """Processes of this machine.

    Args:
        workers: processes; with 1 the work is done in this one. None: one per CPU.
    """

    workers: int | None = 1

    def __post_init__(self) -> None:
        if self.workers is not None:
            check_int("workers", self.workers, 1)

    def run(
        self, work: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Generator[Result, None, None]:
        """See :class:`Executor`.

        Raises:
            OSError: if a process dies.
        """
        count = min(self.workers or os.cpu_count() or 1, len(tasks))
        if count <= 1:
            yield from map(work, tasks)
            return
        _compile()
        # Spawned, not forked: a fork copies the threads' locks of other libraries.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(count, mp_context=context) as pool:
            futures = [pool.submit(work, task) for task in tasks]
            try:
                for future in as_completed(futures):
                    yield future.result()
            except BrokenProcessPool:
                raise OSError(
                    "a worker process died (killed, or out of memory): run the same command "
                    "again to go on, with fewer workers or smaller shards"
                ) from None
            finally:
                pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Ray:
    """A Ray cluster, or this machine where none is running; needs the extra ``ray``.

    The folder of the dataset must be reachable under the same name on every node.

    Args:
        workers: tasks at a time; None: as many as the cluster has CPUs.
    """

    workers: int | None = None

    def run(
        self, work: Callable[[Task], Result], tasks: Sequence[Task]
    ) -> Generator[Result, None, None]:
        """See :class:`Executor`.

        Raises:
            ValueError: if Ray is not installed.
        """
        try:
            import ray
        except ImportError:
            raise ValueError(
                'the executor ray needs Ray: pip install "retail-gym[ray]" in an environment of '
                "its own"
            ) from None
        mine = not ray.is_initialized()
        if mine:
            # Of a cluster that is running, the size is its own.
            size = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": self.workers}
            ray.init(include_dashboard=False, log_to_driver=False, **size)
        try:
            remote, queue = ray.remote(work), iter(tasks)
            at_once = self.workers or int(ray.cluster_resources().get("CPU", 1))
            waiting = [remote.remote(task) for task in itertools.islice(queue, at_once)]
            while waiting:
                done, waiting = ray.wait(waiting)
                waiting += [remote.remote(task) for task in itertools.islice(queue, len(done))]
                for reference in done:
                    yield _ray_result(ray, reference)
        finally:
            if mine:
                ray.shutdown()


def _ray_result(ray: Any, reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, Exception) else error from None


#: Name -> executor.
EXECUTORS: Final[dict[str, Callable[[int | None], Executor]]] = {"pool": Pool, "ray": Ray}


def make_executor(name: str, workers: int | None) -> Executor:
    """An executor by name.

    Raises:
        ValueError: for an unknown name, naming the executors there are.
    """
    check_choice("executor", name, EXECUTORS)
    return EXECUTORS[name](workers)


def _compile() -> None:
    """Compile the kernel here, once, where that is due; processes then find it on disk."""
    world = build_world(load_config("tiny"), memory_gib=0.0)
    simulator = Simulator(world, 0)
    for _ in range(2):
        simulator.step(world.base_price, discount_si=np.zeros(world.n_products))
