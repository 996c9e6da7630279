"""PPO and DQN of stable-baselines3 on the customers of coupon stores, one network for all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.vec_env import VecNormalize

from agents.tasks import training_seed
from retail_gym.config import atomic_write, check_choice
from retail_gym.envs.sb3_coupons import make_customer_vec_env

__all__ = ["DeepPolicy", "train_deep"]

GAMMA: Final = 0.99
STORES: Final = 4
MAKE: Final[dict[str, Any]] = {
    "PPO": lambda env, seed: PPO(
        "MlpPolicy",
        env,
        n_steps=32,
        batch_size=1600,
        n_epochs=4,
        learning_rate=1e-3,
        gamma=GAMMA,
        gae_lambda=0.6,  # a coupon matters for a week or two, an episode lasts longer
        ent_coef=0.002,
        policy_kwargs={"net_arch": [32, 32]},
        seed=seed,
        device="cpu",
    ),
    "DQN": lambda env, seed: DQN(
        "MlpPolicy",
        env,
        learning_rate=1e-3,
        buffer_size=200_000,
        learning_starts=20_000,
        batch_size=1024,
        train_freq=1,
        gradient_steps=4,
        target_update_interval=2_000,
        exploration_fraction=0.5,
        exploration_final_eps=0.1,
        gamma=GAMMA,
        policy_kwargs={"net_arch": [32, 32]},
        seed=seed,
        device="cpu",
    ),
}


class DeepPolicy:
    """A trained network, greedy: standardised contexts in, arms out."""

    def __init__(
        self, weights: list[tuple[Any, Any]], mean: Any, variance: Any, relu: bool
    ) -> None:
        self.weights, self.relu = weights, relu
        self.mean, self.sd = np.asarray(mean), np.sqrt(np.asarray(variance) + 1e-8)

    def __call__(self, observation: NDArray[np.float32], week: int) -> NDArray[np.int64]:
        """Arms, shape (U,): the largest logit or value."""
        hidden = np.clip((observation - self.mean) / self.sd, -10.0, 10.0)
        for weight, bias in self.weights[:-1]:
            hidden = hidden @ weight.T + bias
            hidden = np.maximum(hidden, 0.0) if self.relu else np.tanh(hidden)
        weight, bias = self.weights[-1]
        return np.asarray((hidden @ weight.T + bias).argmax(axis=1))


def train_deep(
    name: str, *, seed: int, steps: int, file: Path, world_seeds: Sequence[int], preset: str
) -> DeepPolicy:
    """Train PPO or DQN, or read what an earlier run left.

    Args:
        name: ``"PPO"`` or ``"DQN"``.
        seed: of everything, through its training seed.
        steps: customer-weeks.
        file: where the weights are kept, without ending.
        world_seeds: stores to train in.
        preset: of the stores.
    """
    check_choice("deep agent", name, MAKE)
    kept = Path(f"{file}_{steps}.npz")
    if not kept.exists():
        torch.set_num_threads(1)
        seed = training_seed(seed, 0)
        customers = make_customer_vec_env(
            STORES, seed, preset=preset, world_seeds=world_seeds, burn_in=10, horizon=60
        )
        env = VecNormalize(customers, norm_reward=False)
        model = MAKE[name](env, seed)
        model.learn(steps)
        if name == "PPO":
            layers = [*model.policy.mlp_extractor.policy_net, model.policy.action_net]
        else:
            layers = list(model.q_net.q_net)
        linear = [layer for layer in layers if isinstance(layer, torch.nn.Linear)]
        arrays = {f"weight_{k}": x.weight.detach().numpy() for k, x in enumerate(linear)}
        arrays |= {f"bias_{k}": x.bias.detach().numpy() for k, x in enumerate(linear)}
        with atomic_write(kept) as stream:
            np.savez(stream, mean=env.obs_rms.mean, variance=env.obs_rms.var, **arrays)
    with np.load(kept, allow_pickle=False) as read:
        n = sum(key.startswith("weight_") for key in read.files)
        weights = [(read[f"weight_{k}"], read[f"bias_{k}"]) for k in range(n)]
        return DeepPolicy(weights, read["mean"], read["variance"], relu=name == "DQN")
