"""AgentSim's deep agents as its configuration trains them: offline, discount factor zero.

Networks, optimisers and stopping are those of its yaml files; everything learns from logged
uniform random coupons and money in dollars, and nothing looks beyond the week. The batches are
its stores with a quarter of their customers.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from retail_gym.envs.coupons import COUPON_LEVELS

__all__ = ["DQN", "PATIENCE", "Boltzmann", "GreedyPPO", "OfflineData"]

#: Epochs without a new smallest batch loss after which training stops.
PATIENCE: Final = 15
ARMS: Final = COUPON_LEVELS.size
_SHARE: Final = 4  # one customer in four of a store makes a batch


class OfflineData(NamedTuple):
    """Logged weeks of S stores."""

    contexts: NDArray[np.float32]  # S, T, U, d
    arms: NDArray[np.int64]  # S, T, U
    dollars: NDArray[np.float32]  # S, T, U

    def batch(self, generator: np.random.Generator, stores: int) -> tuple[Any, Any, Any]:
        """Weeks of some stores drawn without replacement, as tensors (B, T, ...), B customers."""
        n = min(stores, len(self.arms))
        which = generator.choice(len(self.arms), n, replace=False)
        first = int(generator.integers(_SHARE))

        def customers(array: NDArray[Any]) -> torch.Tensor:
            part = np.moveaxis(array[which][:, :, first::_SHARE], 2, 1)
            return torch.as_tensor(part.reshape(-1, *part.shape[2:]).copy())

        return customers(self.contexts), customers(self.arms), customers(self.dollars)


def _dense(sizes: list[int]) -> nn.Sequential:
    """Dense layers with ReLU between them, Glorot-uniform weights and zero biases."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layer = nn.Linear(n_in, n_out)
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _until_no_gain(step: Callable[[], float], epochs: int, patience: int) -> int:
    """Repeat a training step until its loss has not been smaller for some epochs."""
    best, waited = np.inf, 0
    for epoch in range(epochs):
        loss = step()
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited >= patience:
            return epoch + 1
    return epochs


class Boltzmann:
    """Neural Boltzmann bandit: Dense 8, 2; Adam 0.02497; temperature 0.16645; 100 steps of 50."""

    def __init__(
        self, data: OfflineData, seed: int, epochs: int = 100, patience: int = PATIENCE
    ) -> None:
        torch.manual_seed(seed)
        generator = np.random.default_rng(seed)
        self.net = _dense([data.contexts.shape[-1], 8, 2, ARMS])
        adam = torch.optim.Adam(self.net.parameters(), lr=0.02496721629015512, eps=1e-7)

        def step() -> float:
            x, arm, reward = data.batch(generator, 50)
            value = self.net(x).gather(-1, arm[..., None])[..., 0]
            return _descend(adam, ((value - reward) ** 2).mean())

        self.epochs = _until_no_gain(step, epochs, patience)
        self.reset(seed)

    def reset(self, seed: int | None = None) -> None:
        """Start the stream of draws of a seed."""
        self._draws = torch.Generator().manual_seed(0 if seed is None else seed)

    def __call__(self, observation: NDArray[np.float32], week: int) -> NDArray[np.int64]:
        """Arms drawn by softmax of the predicted dollars."""
        with torch.no_grad():
            chance = torch.softmax(self.net(torch.as_tensor(observation)) / 0.16645228911819948, -1)
            return torch.multinomial(chance, 1, generator=self._draws)[:, 0].numpy()


class DQN:
    """Q network Dense 16, LSTM 4; Adam 0.00464; 1000 steps of 20 stores; target = reward."""

    def __init__(
        self, data: OfflineData, seed: int, epochs: int = 1000, patience: int = PATIENCE
    ) -> None:
        torch.manual_seed(seed)
        generator = np.random.default_rng(seed)
        self.dense = nn.Sequential(_dense([data.contexts.shape[-1], 16]), nn.ReLU())
        self.lstm = nn.LSTM(16, 4, batch_first=True)
        self.head = _dense([4, ARMS])
        nn.init.xavier_uniform_(self.lstm.weight_ih_l0)
        nn.init.orthogonal_(self.lstm.weight_hh_l0)
        nn.init.zeros_(self.lstm.bias_hh_l0)
        nn.init.zeros_(self.lstm.bias_ih_l0)
        with torch.no_grad():
            self.lstm.bias_ih_l0[4:8] = 1.0  # the forget gate starts open
        weights = [*self.dense.parameters(), *self.lstm.parameters(), *self.head.parameters()]
        adam = torch.optim.Adam(weights, lr=0.004643196981298455, eps=1e-7)

        def step() -> float:
            x, arm, reward = data.batch(generator, 20)
            hidden, _ = self.lstm(self.dense(x))
            value = self.head(hidden).gather(-1, arm[..., None])[..., 0]
            return _descend(adam, ((value - reward) ** 2).sum(dim=1).mean())

        self.epochs = _until_no_gain(step, epochs, patience)
        self.reset()

    def reset(self, seed: int | None = None) -> None:
        """Forget the weeks seen."""
        self._state: Any = None

    def __call__(self, observation: NDArray[np.float32], week: int) -> NDArray[np.int64]:
        """Arm of the largest predicted dollars."""
        with torch.no_grad():
            hidden = self.dense(torch.as_tensor(observation)[:, None])
            hidden, self._state = self.lstm(hidden, self._state)
            return self.head(hidden)[:, 0].argmax(dim=-1).numpy()


class GreedyPPO:
    """PPO on logged data: actor and critic 32, 8; Adam 0.00638; 1000 x 12 steps of 20 stores.

    Clip 0.785, entropy 0.101, and the adaptive penalty and cutoff on the divergence from the
    uniform logging policy that its library switches on by default. Acts greedily.
    """

    def __init__(
        self, data: OfflineData, seed: int, epochs: int = 1000, patience: int = PATIENCE
    ) -> None:
        torch.manual_seed(seed)
        generator = np.random.default_rng(seed)
        flat = data.contexts.reshape(-1, data.contexts.shape[-1])
        self.mean = torch.as_tensor(flat.mean(axis=0))
        self.sd = torch.as_tensor(flat.std(axis=0) + 1e-3)
        reward_sd = float(np.sqrt((data.dollars**2).mean()))
        d = flat.shape[1]
        self.actor, self.critic = _dense([d, 32, 8, ARMS]), _dense([d, 32, 8, 1])
        weights = [*self.actor.parameters(), *self.critic.parameters()]
        adam = torch.optim.Adam(weights, lr=0.006380757050779136, eps=1e-7)
        beta = 1.0  # of the divergence penalty

        def step() -> float:
            nonlocal beta
            x, arm, reward = data.batch(generator, 20)
            x, reward = self._scaled(x), (reward / reward_sd).clip(-10.0, 10.0)
            with torch.no_grad():
                gain = reward - self.critic(x)[..., 0]
                gain = (gain - gain.mean()) / (gain.std() + 1e-8)
            total = 0.0
            for _ in range(12):
                log_p = torch.log_softmax(self.actor(x), dim=-1)
                ratio = ARMS * log_p.gather(-1, arm[..., None])[..., 0].exp()
                clipped = ratio.clip(1.0 - 0.7849416213439981, 1.0 + 0.7849416213439981)
                divergence = -(log_p.mean() + np.log(ARMS))  # from the uniform policy
                loss = -torch.minimum(ratio * gain, clipped * gain).mean()
                loss = loss + 0.5 * ((self.critic(x)[..., 0] - reward) ** 2).mean()
                loss = loss + 0.1012597119847905 * (log_p.exp() * log_p).sum(dim=-1).mean()
                loss = loss + beta * divergence + 1000.0 * (divergence - 0.02).clip(min=0.0) ** 2
                total += _descend(adam, loss) / 12
            if float(divergence.detach()) < 0.01 * 0.7:
                beta /= 1.5
            elif float(divergence.detach()) > 0.01 * 1.3:
                beta *= 1.5
            return total

        self.epochs = _until_no_gain(step, epochs, patience)

    def _scaled(self, x: torch.Tensor) -> torch.Tensor:
        return ((x - self.mean) / self.sd).clip(-5.0, 5.0)

    def __call__(self, observation: NDArray[np.float32], week: int) -> NDArray[np.int64]:
        """The most probable arm."""
        with torch.no_grad():
            return self.actor(self._scaled(torch.as_tensor(observation))).argmax(dim=-1).numpy()


def _descend(adam: torch.optim.Optimizer, loss: torch.Tensor) -> float:
    adam.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    adam.step()
    return float(loss.detach())
