"""Who is judged: other real households, our simulator, and the baseline generators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from experiments.realism import simulated_table
from retail_gym.config import check_choice, to_plain
from retail_gym.data import Transactions, load_complete_journey
from retail_gym.generators import (
    GANConfig,
    Privacy,
    PrivateGAN,
    VAEConfig,
    generator_class,
    load,
)
from retail_gym.generators.private_gan import PRIVATE
from retail_gym.world.presets import category_names, load_config

__all__ = ["FULL", "QUICK", "Candidate", "Sizes", "Tables", "candidates_of"]


@dataclass(frozen=True)
class Sizes:
    """Households on each side; 0 for all."""

    train: int = 0
    holdout: int = 371
    evaluation: int = 370
    split_seed: int = 0


@dataclass(frozen=True, eq=False)
class Tables:
    """Train, holdout and evaluation households (the split of arXiv 2406.13130).

    ``train``: what generators are fitted on, and what the judge calls real. ``holdout``: the
    judge's other real customers. ``evaluation``: the real table that is judged like a synthetic
    one. The last two are the held-out households, split at random; nothing was fitted on them.
    """

    sizes: Sizes
    train: Transactions
    holdout: Transactions
    evaluation: Transactions

    @classmethod
    def load(cls, sizes: Sizes) -> Tables:
        """Complete Journey without fuel."""
        train, held_out = load_complete_journey("train"), load_complete_journey("held_out")
        rng = np.random.default_rng(sizes.split_seed)
        if sizes.train:
            train = train.select(np.sort(rng.choice(train.customers, sizes.train, replace=False)))
        drawn = rng.permutation(held_out.customers)
        first, second = sizes.holdout, sizes.holdout + sizes.evaluation
        return cls(
            sizes,
            train,
            held_out.select(np.sort(drawn[:first]), "holdout households"),
            held_out.select(np.sort(drawn[first:second]), "other real households"),
        )

    @property
    def equal(self) -> Transactions:
        """As many train households as there are evaluation households."""
        size = min(self.train.n_customers, self.evaluation.n_customers)
        return self.train.sample(size, np.random.default_rng(self.sizes.split_seed))


class Candidate(Protocol):
    """Somebody who is judged."""

    @property
    def name(self) -> str:
        """Short, unique."""

    @property
    def kind(self) -> str:
        """Real, simulator or generator."""

    def settings(self) -> Any:
        """All that its tables depend on besides the split and the seed, as plain values."""

    def table(self, tables: Tables, seed: int, folder: Path) -> Transactions:
        """A table of as many customers as the evaluation households, made of a seed."""


@dataclass(frozen=True)
class Real:
    """Other real households: the ceiling, judged like everybody."""

    name: str = "real"
    kind: str = "real"

    def settings(self) -> Any:
        return {}

    def table(self, tables: Tables, seed: int, folder: Path) -> Transactions:
        return tables.evaluation


@dataclass(frozen=True)
class Store:
    """A preset of the simulator under its own promotions; the seed is of store and luck.

    Where its categories are those of real data, they go by name.
    """

    name: str
    kind: str = "simulator"

    def settings(self) -> Any:
        # A preset that is fitted anew is another candidate.
        config = load_config(self.name)
        names = category_names(config)
        return to_plain(config) | ({} if names is None else {"categories": names})

    def table(self, tables: Tables, seed: int, folder: Path) -> Transactions:
        size = tables.evaluation.n_customers
        table = simulated_table(self.name, seed, size, tables.evaluation.n_weeks)
        names = category_names(load_config(self.name))
        return table if names is None else table.with_names(names)


@dataclass(frozen=True)
class Fitted:
    """A generator fitted on the train households with seed 0; the seed is of the sample."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "generator"

    def settings(self) -> Any:
        return to_plain(self.arguments)

    def table(self, tables: Tables, seed: int, folder: Path) -> Transactions:
        file = folder / "generator.npz"
        if not file.exists():
            arguments = dict(self.arguments)
            if self.name not in ("marginals", "copula"):
                arguments["checkpoint"] = folder / "training.pt"
            fitted = generator_class(self.name).fit(tables.train, seed=0, **arguments)
            fitted.save(file)
            if isinstance(fitted, PrivateGAN):
                print(f"{self.name}: epsilon {fitted.epsilon:.2f}, delta {fitted.delta:g}")
        return load(file).sample(tables.evaluation.n_customers, seed)


_STORES: Final = (Store("complete_journey"), Store("calibrated"))

#: The study.
FULL: Final[tuple[Candidate, ...]] = (
    Real(),
    *_STORES,
    Fitted("marginals"),
    Fitted("copula"),
    Fitted("vae", {"config": VAEConfig()}),
    Fitted("gan", {"config": GANConfig()}),
    Fitted("dp-gan", {"config": PRIVATE, "privacy": Privacy()}),
)
#: In minutes: few households, little training.
QUICK: Final[tuple[Candidate, ...]] = (
    Real(),
    Store("calibrated"),
    Fitted("marginals"),
    Fitted("copula"),
    Fitted("vae", {"config": VAEConfig(steps=300, hidden=64)}),
    Fitted("gan", {"config": GANConfig(steps=100, hidden=64, critic_hidden=64, batch=64)}),
    Fitted(
        "dp-gan",
        {"config": GANConfig(steps=40, critic_steps=1, hidden=64, critic_hidden=16, batch=60)},
    ),
)


def candidates_of(quick: bool, only: list[str]) -> list[Candidate]:
    """The candidates of a run.

    Raises:
        ValueError: for a name that is not one of them.
    """
    known: tuple[Candidate, ...] = QUICK if quick else FULL
    for name in only:
        check_choice("candidate", name, [one.name for one in known])
    return [one for one in known if not only or one.name in only]
