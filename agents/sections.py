"""The callback that cuts a run into sections: validate, save, seed afresh.

Beside the weights themselves their running mean over about one section is validated (Polyak &
Juditsky 1992): the last updates of a noisy gradient wander around the optimum, their mean less.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import set_random_seed

from agents.checkpoint import read_checkpoint, restore, snapshot, write_checkpoint
from agents.export import policy_of
from agents.numpy_policy import NumpyPolicy
from agents.tasks import training_seed

__all__ = ["Sections"]


class Sections(BaseCallback):
    """Validates, saves and seeds afresh whenever a boundary is passed.

    Args:
        path: of the checkpoint.
        every: steps from one boundary to the next.
        seed: of the run.
        score: return of each validation episode under a policy.
        on_evaluation: called with steps and mean score.
    """

    def __init__(
        self,
        path: Path,
        every: int,
        seed: int,
        score: Callable[[NumpyPolicy], NDArray[np.float64]],
        on_evaluation: Callable[[int, float], None] | None = None,
    ) -> None:
        super().__init__()
        self.path, self.every, self.seed, self.score = path, every, seed, score
        self.on_evaluation = on_evaluation
        self.history: list[dict[str, float]] = []
        self.best_score = -np.inf
        self.seconds = (0.0, 0.0)  # wall clock, CPU
        self._state: dict[str, Any] | None = None  # to go on from
        self._section = -1  # the number of the current one
        self._average: dict[str, torch.Tensor] = {}  # of the weights
        self._averaged = 0  # steps that are in it

    def resume(self, model: Any) -> int:
        """Read the checkpoint if there is one; the steps that are done."""
        if not self.path.exists():
            return 0
        self._state = read_checkpoint(self.path)
        run = self._state["run"]
        self.history, self.best_score = run["history"], run["best_score"]
        self.seconds = tuple(run["seconds"])
        weights = {name: value.numpy() for name, value in run["best"].items()}
        self.best = NumpyPolicy(weights, **run["best_form"])
        self._average, self._averaged = run["average"], run["averaged"]
        restore(model, self._state)
        return int(model.num_timesteps)

    def _on_training_start(self) -> None:
        self._clock = (time.perf_counter(), time.process_time())

    def _on_rollout_start(self) -> None:
        section = self.num_timesteps // self.every
        if self._state is None:
            self._follow()
        if section == self._section:
            return
        if self._state is not None:  # again: starting the environments moved the statistics
            restore(self.model, self._state)
            self._state = None
        elif self._section >= 0:
            self._validate()
        self._section = section
        self._begin()

    def _follow(self) -> None:
        """Let the mean of the weights follow them."""
        share = min(1.0, (self.num_timesteps - self._averaged) / self.every)
        for name, value in self.model.policy.state_dict().items():
            if name not in self._average:
                self._average[name] = value.clone()
            elif value.is_floating_point():
                self._average[name].lerp_(value, share)
        self._averaged = self.num_timesteps

    def _policies(self) -> tuple[NumpyPolicy, NumpyPolicy]:
        """That of the weights and that of their mean."""
        network = self.model.policy
        own = {name: value.clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self._average)
        mean = policy_of(self.model)
        network.load_state_dict(own)
        return policy_of(self.model), mean

    def _begin(self) -> None:
        """New episodes and new randomness, from the seed and the step alone."""
        model: Any = self.model
        seed = training_seed(self.seed, model.num_timesteps)
        set_random_seed(seed)
        model.action_space.seed(seed)
        model.env.seed(seed)
        model._last_obs = model.env.reset()
        model._last_episode_starts = np.ones(model.n_envs, dtype=bool)
        if model.get_vec_normalize_env() is not None:
            model._last_original_obs = model.get_vec_normalize_env().get_original_obs()

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        if not self.history or self.history[-1]["steps"] < self.num_timesteps:
            self._follow()
            self._validate()

    def _validate(self) -> None:
        values = []
        for policy in self._policies():
            values.append(float(self.score(policy).mean()))
            if values[-1] > self.best_score:
                self.best, self.best_score = policy, values[-1]
        value, of_mean = values
        now = (time.perf_counter(), time.process_time())
        wall, cpu = (s + b - a for s, a, b in zip(self.seconds, self._clock, now, strict=True))
        self.seconds, self._clock = (wall, cpu), now
        self.history.append(
            {
                "steps": self.num_timesteps,
                "return": value,
                "return_of_mean_weights": of_mean,
                "wall_seconds": wall,
                "cpu_seconds": cpu,
            }
        )
        self.logger.record("eval/mean_reward_of_mean_weights", of_mean)
        self.logger.record("eval/mean_reward", value)
        self.logger.record("eval/best_mean_reward", self.best_score)
        self.logger.dump(self.num_timesteps)
        run = {
            "history": self.history,
            "best_score": self.best_score,
            "seconds": list(self.seconds),
            "best": {name: torch.as_tensor(value) for name, value in self.best.arrays.items()},
            "best_form": self.best.form,
            "average": self._average,
            "averaged": self._averaged,
        }
        write_checkpoint(self.path, snapshot(self.model) | {"run": run})
        if self.on_evaluation is not None:
            self.on_evaluation(self.num_timesteps, max(values))
