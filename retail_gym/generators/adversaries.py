r"""The two networks of a Wasserstein GAN with gradient penalty, and how they train.

    critic:     min E[D(G(z, c), c)] - E[D(x, c)] + \lambda E[(\|\nabla D(\hat x, c)\| - 1)^2]
    generator:  max E[D(G(z, c), c)]

(Gulrajani et al. 2017.) x is a basket, yes or no for each category, c what is given, and \hat x
lies between a real and a generated basket. The generator's yes and no are hard; their gradients
are those of relaxed ones (straight through; Jang et al. 2017). What is kept is the moving average
of the generator's weights, for two adversaries circle around their balance.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from retail_gym.config import check_choice, check_finite, check_int
from retail_gym.generators.networks import mlp, step_rng
from retail_gym.generators.stock import STOCKS

__all__ = ["Adversaries", "GANConfig"]


@dataclass(frozen=True)
class GANConfig:
    """Size and training.

    Attributes:
        noise: dimensions of z.
        hidden: units of each of the generator's two hidden layers.
        critic_hidden: of each of the critic's.
        steps: of the generator.
        critic_steps: of the critic, for each of the generator.
        batch: trips in a step.
        rate: Adam's learning rate.
        penalty: lambda.
        temperature: of the relaxed yes and no.
        average: share of the old weights in the moving average at each step.
        stock: weights of the stock embedding, "weighted" or "unweighted".
    """

    noise: int = 48
    hidden: int = 256
    critic_hidden: int = 256
    steps: int = 1000
    critic_steps: int = 4
    batch: int = 256
    rate: float = 3e-4
    penalty: float = 10.0
    temperature: float = 0.5
    average: float = 0.995
    stock: str = "weighted"

    def __post_init__(self) -> None:
        for name in ("noise", "hidden", "critic_hidden", "steps", "critic_steps", "batch"):
            check_int(name, getattr(self, name), 1)
        check_finite("rate", self.rate, 1e-8, 1.0)
        check_finite("penalty", self.penalty, 0.0, 1e6)
        check_finite("temperature", self.temperature, 1e-3, 1e3)
        check_finite("average", self.average, 0.0, 0.99999)
        check_choice("stock", self.stock, STOCKS)


class Adversaries:
    """Generator and critic.

    Args:
        share: first guess of the share of trips with each category, shape (J,).
        n_given: length of c.
        config: size and training.
        seed: of weights and noise.
        real: random numbers -> real baskets (B, J), c (B, n_given) and weeks' closed categories
            as logits to add (B, J).
        given: random numbers -> c and closed categories for the generator's step.
    """

    def __init__(
        self,
        share: Tensor,
        n_given: int,
        config: GANConfig,
        seed: int,
        real: Callable[[torch.Generator], tuple[Tensor, Tensor, Tensor]],
        given: Callable[[torch.Generator], tuple[Tensor, Tensor]],
    ) -> None:
        self.config, self.seed = config, seed
        self.real, self.given = real, given
        n_categories = share.numel()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            wide, high = config.hidden, config.critic_hidden
            self.generator = mlp(config.noise + n_given, wide, wide, n_categories)
            self.critic = mlp(n_categories + n_given, high, high, 1)
        with torch.no_grad():
            last = self.generator[-1]
            assert isinstance(last, nn.Linear)
            last.bias.copy_(share.logit())
        self.average = copy.deepcopy(self.generator)
        betas = (0.5, 0.9)
        self.optimisers = [
            torch.optim.Adam(network.parameters(), lr=config.rate, betas=betas)
            for network in (self.generator, self.critic)
        ]

    @property
    def parts(self) -> Mapping[str, Any]:
        """Everything that training changes."""
        return {
            "generator": self.generator,
            "average": self.average,
            "critic": self.critic,
            "generator's optimiser": self.optimisers[0],
            "critic's optimiser": self.optimisers[1],
        }

    def update(self, step: int) -> None:
        """The critic's steps and one of the generator."""
        rng = step_rng(self.seed, step)
        for _ in range(self.config.critic_steps):
            self._update_critic(rng)
        self._update_generator(rng)
        # Short at first, so that the first weights are forgotten.
        kept = min(self.config.average, (1.0 + step) / (10.0 + step))
        with torch.no_grad():
            for mean, new in zip(
                self.average.parameters(), self.generator.parameters(), strict=True
            ):
                mean.lerp_(new, 1.0 - kept)

    def fake(self, given: Tensor, closed: Tensor, rng: torch.Generator) -> Tensor:
        """Generated baskets."""
        with torch.no_grad():
            return self._draw(given, closed, rng)

    def _draw(self, given: Tensor, closed: Tensor, rng: torch.Generator) -> Tensor:
        z = torch.randn(given.shape[0], self.config.noise, generator=rng)
        logits = self.generator(torch.cat([z, given], 1)) + closed
        level = torch.rand(logits.shape, generator=rng).clamp(1e-6, 1.0 - 1e-6)
        soft = torch.sigmoid((logits + level.logit()) / self.config.temperature)
        # The value of the hard draw, the gradient of the soft one.
        hard: Tensor = soft + ((soft > 0.5).float() - soft).detach()
        return hard

    def _update_critic(self, rng: torch.Generator) -> None:
        x, given, closed = self.real(rng)
        fake = self.fake(given, closed, rng)
        between = torch.rand((x.shape[0], 1), generator=rng)
        mixed = (between * x + (1.0 - between) * fake).requires_grad_()
        value = self.critic(torch.cat([mixed, given], 1)).sum()
        (slope,) = torch.autograd.grad(value, mixed, create_graph=True)
        penalty = ((slope.norm(dim=1) - 1.0) ** 2).mean()
        gain = self.critic(torch.cat([x, given], 1)) - self.critic(torch.cat([fake, given], 1))
        self.optimisers[1].zero_grad()
        (self.config.penalty * penalty - gain.mean()).backward()
        self.optimisers[1].step()

    def _update_generator(self, rng: torch.Generator) -> None:
        given, closed = self.given(rng)
        fake = self._draw(given, closed, rng)
        loss = -self.critic(torch.cat([fake, given], 1)).mean()
        self.optimisers[0].zero_grad()
        loss.backward(inputs=list(self.generator.parameters()))
        self.optimisers[0].step()
