"""How much of the deep rows of AgentSim's table is the luck of a training run.

``python -m experiments.coupons.training_luck`` trains each deep agent of the replication with
several seeds on the same logs, with AgentSim's early stopping on the loss of single batches and
without it, and prints the mean coupon that each trained policy sends to the logged customers.
The published standard error (0.02 of 1.709, say) counts every store of every trained policy as
independent; if policies of one recipe differ by more, it says nothing about another training.
That covers PPO's coupon; DQN's lies outside what any seed gives, and why is not known.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from experiments.coupons.one_step import DQN, Boltzmann, GreedyPPO, OfflineData
from experiments.coupons.replicate import Replication
from experiments.coupons.tables import PUBLISHED
from retail_gym.config import atomic_write
from retail_gym.envs.coupons import COUPON_LEVELS

AGENTS: dict[str, Any] = {"PPO": GreedyPPO, "NeuralBoltzmann": Boltzmann, "DQN": DQN}


def mean_coupon(policy: Any, data: OfflineData) -> float:
    """Mean coupon that a policy sends to the logged customers, played week by week."""
    sent = []
    for store in data.contexts:
        if hasattr(policy, "reset"):
            policy.reset(0)
        sent += [COUPON_LEVELS[policy(week, t + 1)].mean() for t, week in enumerate(store)]
    return float(np.mean(sent))


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stores", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=200, help="without early stopping")
    parser.add_argument("--out", type=Path, default=Path("results/coupons"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = Replication("agentsim", args.stores, scored=0).data
    uniform = float(COUPON_LEVELS.mean())
    summary: dict[str, Any] = {}
    ways: dict[str, dict[str, int]] = {"early stopping": {}}
    ways[f"{args.epochs} epochs"] = {"epochs": args.epochs, "patience": args.epochs}
    for stopping, options in ways.items():
        for name, make in AGENTS.items():
            trained = [make(data, seed, **options) for seed in range(args.seeds)]
            ratio = [mean_coupon(policy, data) / uniform for policy in trained]
            summary[f"{name}, {stopping}"] = {
                "epochs": [policy.epochs for policy in trained],
                "coupon_ratio_by_seed": ratio,
                "standard_deviation": float(np.std(ratio, ddof=1)) if len(ratio) > 1 else None,
                "published": PUBLISHED[name]["coupon"],
            }
            said = ", ".join(f"{value:.2f}" for value in ratio)
            epochs = ", ".join(str(policy.epochs) for policy in trained)
            print(f"{name}, {stopping}: coupon / random {said}; epochs {epochs}", flush=True)
    with atomic_write(args.out / "training_luck.json") as stream:
        stream.write(json.dumps(summary, indent=2).encode())


if __name__ == "__main__":
    main()
