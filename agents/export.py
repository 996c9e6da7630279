"""From a stable-baselines3 model to plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from agents.numpy_policy import NumpyPolicy

Arrays = dict[str, NDArray[Any]]

__all__ = ["natural_units", "observation_arrays", "policy_of"]


def _dense(modules: Any, first: int = 0) -> Arrays:
    """The linear layers of torch modules, in order."""
    from torch import nn

    arrays: Arrays = {}
    for module in modules:
        for part in module.modules():
            if isinstance(part, nn.Linear):
                arrays[f"layer{first}.weight"] = part.weight.detach().cpu().numpy().copy()
                arrays[f"layer{first}.bias"] = part.bias.detach().cpu().numpy().copy()
                first += 1
    return arrays


def observation_arrays(env: Any) -> tuple[Arrays, float]:
    """Statistics of a ``VecNormalize`` around the environments, and where it clips."""
    from stable_baselines3.common.vec_env import VecNormalize

    if not isinstance(env, VecNormalize) or not env.norm_obs:
        return {}, np.inf
    rms: Any = env.obs_rms
    scale = np.sqrt(rms.var + env.epsilon)
    return {"observation.mean": rms.mean.copy(), "observation.scale": scale}, env.clip_obs


def natural_units(env: Any) -> tuple[Arrays, float]:
    """What an action means: the table of a discrete agent, or the box and how it is stretched."""
    from agents.actions import StretchedActions

    stretch = 1.0
    while hasattr(env, "venv"):
        if isinstance(env, StretchedActions):
            stretch = env.stretch
        env = env.venv
    if isinstance(env.action_space, Discrete):
        return {"action.table": env.natural(np.arange(env.action_space.n))}, stretch
    space = env.vector.single_action_space
    return {"action.low": space.low.copy(), "action.high": space.high.copy()}, stretch


def policy_of(model: Any) -> NumpyPolicy:
    """The deterministic policy of a model, in natural units.

    Args:
        model: PPO, RecurrentPPO, SAC, TQC or DQN on environments of ``agents.tasks``.

    Raises:
        ValueError: for a network that has no such form.
    """
    from torch import nn

    policy = model.policy
    arrays, stretch = natural_units(model.env)
    statistics, clip = observation_arrays(model.env)
    arrays |= statistics
    if hasattr(policy, "q_net"):  # DQN
        head, modules = "choose", [policy.q_net.q_net]
    elif hasattr(policy, "actor"):  # SAC, TQC
        head, modules = "squash", [policy.actor.latent_pi, policy.actor.mu]
    else:  # PPO, RecurrentPPO
        head, modules = "clip", [policy.mlp_extractor.policy_net, policy.action_net]
        lstm = getattr(policy, "lstm_actor", None)
        if lstm is not None:
            if lstm.num_layers != 1:
                raise ValueError("only a single LSTM layer can be exported")
            weights = {name: w.detach().cpu().numpy() for name, w in lstm.named_parameters()}
            arrays |= {
                "lstm.weight_input": weights["weight_ih_l0"].copy(),
                "lstm.weight_hidden": weights["weight_hh_l0"].copy(),
                "lstm.bias": weights["bias_ih_l0"] + weights["bias_hh_l0"],
            }
    kinds = {type(part) for module in modules for part in module.modules()}
    relu = nn.ReLU in kinds
    strange = kinds - {nn.Sequential, nn.Linear, nn.ReLU, nn.Tanh}
    if strange or (relu and nn.Tanh in kinds):
        raise ValueError(f"layers {sorted(k.__name__ for k in kinds)} cannot be exported")
    activation = "relu" if relu else "tanh"
    return NumpyPolicy(arrays | _dense(modules), head, activation, min(clip, 1e9), stretch)
