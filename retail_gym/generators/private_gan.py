"""The GAN trained with differential privacy of households; see ``private`` for what that covers.

It is told less than the GAN without privacy: the only feature of a customer is the number of
trips, and product embeddings come from the shelf, not from baskets.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from retail_gym.config import check_int, stable_hash
from retail_gym.data.table import Transactions
from retail_gym.generators.adversaries import Adversaries, GANConfig
from retail_gym.generators.base import Arrays, Floats
from retail_gym.generators.calendar import Calendar
from retail_gym.generators.gan import GAN, closed_categories
from retail_gym.generators.networks import condition, mlp_of, one_thread, train
from retail_gym.generators.private import (
    RELEASES,
    Privacy,
    clipped_gradient,
    epsilon_of,
    noise_for,
    release,
)
from retail_gym.generators.records import Records
from retail_gym.generators.shelf import Shelf
from retail_gym.generators.stock import on_the_shelf, stock_embedding

__all__ = ["PRIVATE", "PrivateAdversaries", "PrivateGAN"]

Weights = dict[str, Tensor]

#: Few, large and noisy steps of a small critic: each step spends epsilon, each weight gets noise.
PRIVATE = GANConfig(
    noise=24, hidden=128, critic_hidden=32, steps=400, critic_steps=2, batch=400, rate=1e-3
)
#: Conditions that the generator trains on, drawn from the released calendar.
_DRAWN = 20_000


class PrivateAdversaries(Adversaries):
    """A critic that sees real baskets through clipped and noised gradients only.

    Its loss falls into E[D(x, c)], which is private, and the rest, which is not: generated baskets
    are given conditions of the released calendar, and the slope is penalised between these and
    baskets of independent categories, not between these and real ones as without privacy. Gradients
    of real and generated baskets are clipped alike, so that neither side weighs more; only the
    real ones need noise.
    """

    privacy: Privacy
    noise: float  # multiplier, sigma
    share: Tensor  # of trips with each category, released, shape (J,)

    def _value(self, weights: Weights, basket: Tensor, given: Tensor) -> Tensor:
        """The critic's value of one basket."""
        pair = (torch.cat([basket, given]),)
        value: Tensor = torch.func.functional_call(self.critic, weights, pair)
        return value.squeeze()

    def _loss_of_real(self, weights: Weights, basket: Tensor, given: Tensor) -> Tensor:
        return -self._value(weights, basket, given)

    def _penalty(self, weights: Weights, baskets: Tensor, given: Tensor) -> Tensor:
        places = (None, 0, 0)
        slope = torch.func.vmap(torch.func.grad(self._value, argnums=1), in_dims=places)
        length = (slope(weights, baskets, given).square().sum(1) + 1e-12).sqrt()
        cost: Tensor = self.config.penalty * ((length - 1.0) ** 2).mean()
        return cost

    def _update_critic(self, rng: torch.Generator) -> None:
        clip, size = self.privacy.clip, self.config.batch
        x, own, _ = self.real(rng)
        given, closed = self.given(rng)
        fake = self.fake(given, closed, rng)
        free = torch.bernoulli(self.share.expand_as(fake), generator=rng)
        between = torch.rand((size, 1), generator=rng)
        mixed = between * free + (1.0 - between) * fake
        weights = {name: p.detach() for name, p in self.critic.named_parameters()}
        parts = (
            clipped_gradient(self._loss_of_real, weights, [x, own], clip, self.noise, size, rng),
            clipped_gradient(self._value, weights, [fake, given], clip, 0.0, size, rng),
            torch.func.grad(self._penalty)(weights, mixed, given),
        )
        for name, weight in self.critic.named_parameters():
            weight.grad = parts[0][name] + parts[1][name] + parts[2][name]
        self.optimisers[1].step()


class PrivateGAN(GAN):
    """:class:`GAN` whose guarantee is in ``epsilon`` and ``delta``."""

    kind = "dp-gan"

    def __init__(
        self, calendar: Calendar, shelf: Shelf, generator: nn.Sequential, stock_td: Floats,
        epsilon: float, delta: float,
    ) -> None:  # fmt: skip
        super().__init__(calendar, shelf, generator, stock_td)
        self.epsilon, self.delta = epsilon, delta

    @classmethod
    def fit(
        cls,
        table: Transactions,
        *,
        seed: int = 0,
        config: GANConfig | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        privacy: Privacy | None = None,
    ) -> Self:
        """Train within a privacy budget.

        The seed must stay secret where the guarantee matters: who knows it can subtract the noise.

        Args:
            table: the real purchases.
            seed: of weights, batches and noise.
            config: size and training; ``batch`` is the number of households expected in a step.
            checkpoint: file that a run which was stopped goes on from; it is within the guarantee.
            privacy: the budget.

        Raises:
            ModuleNotFoundError: without Opacus.
            ValueError: for a batch larger than the number of households, a delta that is not
                smaller than 1 / households, or a budget that cannot be kept.
        """
        config, privacy = config or PRIVATE, privacy or Privacy()
        seed = check_int("seed", seed, 0)
        records = Records.of(table)
        households = np.flatnonzero(records.trips_u)
        rate = config.batch / records.n_customers
        if rate > 1.0 or privacy.delta * records.n_customers >= 1.0:
            raise ValueError(
                f"a table of {records.n_customers} customers needs a batch of at most as many "
                f"(got {config.batch}) and delta below {1 / records.n_customers:.2g} (got "
                f"{privacy.delta:g})"
            )
        critic_steps = config.steps * config.critic_steps
        noise = noise_for(privacy, rate, critic_steps)
        phases = [(noise, rate, critic_steps), (privacy.count_noise, 1.0, RELEASES)]

        rng = np.random.default_rng([seed, 1])
        observed = Shelf.fit(table, records)
        calendar, shelf, share = release(records, observed, privacy.count_noise, rng)
        products = on_the_shelf(shelf, seed)
        stock_td = stock_embedding(shelf, products, config.stock, records.n_weeks)
        closed_tj = closed_categories(shelf, records.n_weeks)
        score_u = calendar.rate_score(records.trips_u)[:, None]
        given_kc = condition(score_u[records.customer_k], records.week_k, stock_td)
        bought_kj = torch.from_numpy(records.bought_kj)
        week_k = torch.from_numpy(records.week_k - 1)
        # Trips are sorted by customer.
        first_h = torch.from_numpy(np.searchsorted(records.customer_k, households))
        trips_h = torch.from_numpy(records.trips_u[households])

        def real(rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
            """One trip of each household that is in the step; maybe none."""
            here = (torch.rand(households.size, generator=rng) < rate).nonzero()[:, 0]
            place = torch.rand(here.numel(), generator=rng) * trips_h[here]
            k = first_h[here] + torch.minimum(place.long(), trips_h[here] - 1)
            return bought_kj[k].float(), given_kc[k], closed_tj[week_k[k]]

        visits = calendar.draw(max(2, _DRAWN // records.n_weeks), rng)
        drawn = condition(visits.score_kf, visits.week_k, stock_td)
        drawn_closed = closed_tj[torch.from_numpy(visits.week_k - 1)]

        def given(rng: torch.Generator) -> tuple[Tensor, Tensor]:
            k = torch.randint(drawn.shape[0], (config.batch,), generator=rng)
            return drawn[k], drawn_closed[k]

        with one_thread():
            first_guess = torch.from_numpy(share.astype(np.float32))
            both = PrivateAdversaries(first_guess, drawn.shape[1], config, seed, real, given)
            both.privacy, both.noise, both.share = privacy, noise, first_guess
            settings = stable_hash([cls.kind, config, privacy, seed, table.facts])
            train(both.parts, config.steps, both.update, settings=settings, checkpoint=checkpoint)
        spent = epsilon_of(phases, privacy.delta)
        return cls(calendar, shelf, both.average, stock_td, spent, privacy.delta)

    def arrays(self) -> Arrays:
        guarantee = {"epsilon": np.array(self.epsilon), "delta": np.array(self.delta)}
        return super().arrays() | guarantee

    @classmethod
    def from_arrays(cls, calendar: Calendar, shelf: Shelf, arrays: Mapping[str, Any]) -> Self:
        network = mlp_of("generator", arrays)
        epsilon, delta = float(arrays["epsilon"]), float(arrays["delta"])
        return cls(calendar, shelf, network, arrays["stock_td"], epsilon, delta)
