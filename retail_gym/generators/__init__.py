"""Baseline generators of purchase tables, to compare a simulator with.

``Marginals.fit(table).sample(741, seed=1)`` is a table of 741 new customers. Every generator has
``fit(table, seed=...)``, ``sample(n_customers, seed)`` and ``save(path)``; ``load(path)`` reads any
of them. What the record is and which steps all share is in ``base``. The neural ones need PyTorch,
the private one Opacus too (extra ``generators``), and load when first used.
"""

from typing import TYPE_CHECKING

from retail_gym.generators.base import Generator
from retail_gym.generators.copula import GaussianCopula
from retail_gym.generators.marginals import Marginals
from retail_gym.generators.storage import KINDS, from_file, generator_class, load

if TYPE_CHECKING:
    from retail_gym.generators.adversaries import GANConfig
    from retail_gym.generators.gan import GAN
    from retail_gym.generators.private import Privacy
    from retail_gym.generators.private_gan import PrivateGAN
    from retail_gym.generators.vae import VAE, VAEConfig

__all__ = [
    "GAN",
    "KINDS",
    "VAE",
    "GANConfig",
    "GaussianCopula",
    "Generator",
    "Marginals",
    "Privacy",
    "PrivateGAN",
    "VAEConfig",
    "generator_class",
    "load",
]

_LATER = {name: module for module, name in KINDS.values()} | {
    "GANConfig": "adversaries",
    "Privacy": "private",
    "VAEConfig": "vae",
}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return from_file(_LATER[name], name)
