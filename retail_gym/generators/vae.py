r"""A conditional variational autoencoder of baskets (Kingma and Welling 2014).

    max E_q[log p(x | z, c)] - KL(q(z | x, c) || N(0, I))

x: yes or no for each category, c: the customer's features and the week. The decoder's categories
are independent given z and c, so every association goes through them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from retail_gym.config import check_finite, check_int, stable_hash
from retail_gym.data.table import Transactions
from retail_gym.generators.base import Arrays, Bools, Floats, Generator, Ints
from retail_gym.generators.calendar import Calendar
from retail_gym.generators.networks import (
    as_arrays,
    condition,
    inputs_of,
    mlp,
    mlp_of,
    one_thread,
    step_rng,
    train,
)
from retail_gym.generators.records import Records
from retail_gym.generators.shelf import Shelf

__all__ = ["VAE", "VAEConfig"]


@dataclass(frozen=True)
class VAEConfig:
    """Size and training.

    Attributes:
        latent: dimensions of z.
        hidden: units of each of two hidden layers, encoder and decoder.
        steps: of training.
        batch: trips in a step.
        rate: Adam's learning rate, falling to a tenth of it along a cosine.
    """

    latent: int = 24
    hidden: int = 256
    steps: int = 5000
    batch: int = 256
    rate: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("latent", "hidden", "steps", "batch"):
            check_int(name, getattr(self, name), 1)
        check_finite("rate", self.rate, 1e-8, 1.0)


class VAE(Generator):
    """Categories through a latent normal and a decoder, given customer and week."""

    kind = "vae"

    def __init__(self, calendar: Calendar, shelf: Shelf, decoder: torch.nn.Sequential) -> None:
        super().__init__(calendar, shelf)
        self.decoder = decoder

    @classmethod
    def fit(
        cls,
        table: Transactions,
        *,
        seed: int = 0,
        config: VAEConfig | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train.

        Args:
            table: the real purchases.
            seed: of weights, batches and noise.
            config: size and training.
            checkpoint: file that a run which was stopped goes on from.
        """
        config, seed = config or VAEConfig(), check_int("seed", seed, 0)
        records = Records.of(table)
        calendar, scores = Calendar.fit(records)
        given = condition(scores[records.customer_k], records.week_k)
        bought = torch.from_numpy(records.bought_kj)
        n_given, n_categories = given.shape[1], bought.shape[1]
        with one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = mlp(n_categories + n_given, config.hidden, config.hidden, 2 * config.latent)
            decoder = mlp(config.latent + n_given, config.hidden, config.hidden, n_categories)
            weights = [*encoder.parameters(), *decoder.parameters()]
            optimiser = torch.optim.Adam(weights, lr=config.rate)

            def update(step: int) -> None:
                rng = step_rng(seed, step)
                pick = torch.randint(bought.shape[0], (config.batch,), generator=rng)
                x, c = bought[pick].float(), given[pick]
                mean, log_sd = encoder(torch.cat([x, c], 1)).chunk(2, dim=1)
                noise = torch.randn(mean.shape, generator=rng)
                z = mean + log_sd.exp() * noise
                logits = decoder(torch.cat([z, c], 1))
                misfit = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
                divergence = 0.5 * ((2 * log_sd).exp() + mean**2 - 1 - 2 * log_sd).sum()
                share = 0.55 + 0.45 * math.cos(math.pi * step / config.steps)
                optimiser.param_groups[0]["lr"] = config.rate * share
                optimiser.zero_grad()
                ((misfit + divergence) / config.batch).backward()
                optimiser.step()

            parts = {"encoder": encoder, "decoder": decoder, "optimiser": optimiser}
            settings = stable_hash([cls.kind, config, seed, table.facts])
            train(parts, config.steps, update, settings=settings, checkpoint=checkpoint)
        return cls(calendar, Shelf.fit(table, records), decoder)

    def baskets(self, score_kf: Floats, week_k: Ints, rng: np.random.Generator) -> Bools:
        given = condition(score_kf, week_k)
        n_latent = inputs_of(self.decoder) - given.shape[1]
        z = rng.standard_normal((week_k.size, n_latent)).astype(np.float32)
        with one_thread(), torch.no_grad():
            latent: Tensor = torch.cat([torch.from_numpy(z), given], 1)
            share_kj = torch.sigmoid(self.decoder(latent)).numpy()
        return np.asarray(rng.random(share_kj.shape) < share_kj)

    def arrays(self) -> Arrays:
        return as_arrays("decoder", self.decoder)

    @classmethod
    def from_arrays(cls, calendar: Calendar, shelf: Shelf, arrays: Mapping[str, Any]) -> Self:
        return cls(calendar, shelf, mlp_of("decoder", arrays))
