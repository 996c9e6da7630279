"""A conditional Wasserstein GAN with gradient penalty and stock embeddings, after arXiv 2408.03655.

Tkachuk, Lukasik and Wroblewska give their GAN embeddings of product, customer, date and stock.
Here the record is a basket, given the customer's features, the week on a circle, and the embedding
of the week's stock (``stock``); a category of which nothing is on the shelf is never chosen.
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
from retail_gym.generators.base import Arrays, Bools, Floats, Generator, Ints
from retail_gym.generators.calendar import Calendar
from retail_gym.generators.networks import (
    as_arrays,
    condition,
    inputs_of,
    mlp_of,
    one_thread,
    train,
)
from retail_gym.generators.records import Records
from retail_gym.generators.shelf import Shelf
from retail_gym.generators.stock import bought_together, stock_embedding

__all__ = ["GAN", "closed_categories"]

_NEVER = -30.0  # added to the logit of a category that is not on the shelf


def closed_categories(shelf: Shelf, n_weeks: int) -> Tensor:
    """What to add to the logits of a week's categories, shape (T, J): 0, or never."""
    stocked = shelf.stocked_tj(n_weeks)
    return torch.from_numpy(np.where(stocked, 0.0, _NEVER).astype(np.float32))


class GAN(Generator):
    """Categories from a generator network, given customer, week and stock."""

    kind = "gan"

    def __init__(
        self, calendar: Calendar, shelf: Shelf, generator: nn.Sequential, stock_td: Floats
    ) -> None:
        super().__init__(calendar, shelf)
        self.generator, self.stock_td = generator, stock_td
        self._closed_tj = closed_categories(shelf, calendar.week_t.size)

    @classmethod
    def fit(
        cls,
        table: Transactions,
        *,
        seed: int = 0,
        config: GANConfig | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Train.

        Args:
            table: the real purchases.
            seed: of weights, batches and noise.
            config: size and training.
            checkpoint: file that a run which was stopped goes on from.
        """
        config, seed = config or GANConfig(), check_int("seed", seed, 0)
        records = Records.of(table)
        calendar, scores = Calendar.fit(records)
        shelf = Shelf.fit(table, records)
        products = bought_together(records, shelf)
        stock_td = stock_embedding(shelf, products, config.stock, records.n_weeks)
        given_kc = condition(scores[records.customer_k], records.week_k, stock_td)
        closed_tj = closed_categories(shelf, records.n_weeks)
        bought_kj = torch.from_numpy(records.bought_kj)
        week_k = torch.from_numpy(records.week_k - 1)

        def pick(rng: torch.Generator) -> Tensor:
            return torch.randint(week_k.numel(), (config.batch,), generator=rng)

        def real(rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
            k = pick(rng)
            return bought_kj[k].float(), given_kc[k], closed_tj[week_k[k]]

        def given(rng: torch.Generator) -> tuple[Tensor, Tensor]:
            k = pick(rng)
            return given_kc[k], closed_tj[week_k[k]]

        share = bought_kj.float().mean(0).clamp(1e-4, 0.99)
        with one_thread():
            both = Adversaries(share, given_kc.shape[1], config, seed, real, given)
            settings = stable_hash([cls.kind, config, seed, table.facts])
            train(both.parts, config.steps, both.update, settings=settings, checkpoint=checkpoint)
        return cls(calendar, shelf, both.average, stock_td)

    def baskets(self, score_kf: Floats, week_k: Ints, rng: np.random.Generator) -> Bools:
        given = condition(score_kf, week_k, self.stock_td)
        n_noise = inputs_of(self.generator) - given.shape[1]
        z = rng.standard_normal((week_k.size, n_noise)).astype(np.float32)
        with one_thread(), torch.no_grad():
            logits = self.generator(torch.cat([torch.from_numpy(z), given], 1))
            share_kj = torch.sigmoid(logits + self._closed_tj[week_k - 1]).numpy()
        return np.asarray(rng.random(share_kj.shape) < share_kj)

    def arrays(self) -> Arrays:
        return {"stock_td": self.stock_td} | as_arrays("generator", self.generator)

    @classmethod
    def from_arrays(cls, calendar: Calendar, shelf: Shelf, arrays: Mapping[str, Any]) -> Self:
        return cls(calendar, shelf, mlp_of("generator", arrays), arrays["stock_td"])
