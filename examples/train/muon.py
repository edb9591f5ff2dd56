"""Muon: momentum, made orthogonal. For the matrices inside a network; embeddings and heads stay with AdamW.

Source: K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024); J. Liu et al., "Muon is scalable for
LLM training" (2025) for the weight decay. The step is the nearest orthogonal matrix to the momentum M = USVᵀ, that is UVᵀ, found
by five rounds of a quintic Newton-Schulz iteration X ← aX + (bA + cA²)X with A = XXᵀ, whose coefficients bring every singular
value from (0.01, 1] near to one.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from common import mean_over_workers, rank, workers


def orthogonal(m: torch.Tensor, rounds: int = 5) -> torch.Tensor:
    """(count, rows, columns), rows ≤ columns, to matrices with singular values near one."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = (m / (m.norm(dim=(1, 2), keepdim=True) + 1e-7)).bfloat16()
    for _ in range(rounds):
        s = x @ x.mT
        x = a * x + (b * s + c * (s @ s)) @ x
    return x.float()


class Muon(torch.optim.Optimizer):
    """The orthogonal steps are shared out among the workers."""

    def __init__(self, matrices, lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.02):
        super().__init__(list(matrices), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            shapes = defaultdict(list)
            for index, weight in enumerate(group["params"]):
                state = self.state[weight]
                past = state.setdefault("momentum", torch.zeros_like(weight))
                past.lerp_(weight.grad, 1 - group["momentum"])
                ahead = weight.grad.lerp(past, group["momentum"])  # Nesterov's
                tall = weight.shape[0] > weight.shape[1]
                if index % workers() == rank():
                    shapes[tuple(sorted(weight.shape))].append((index, tall, ahead.T if tall else ahead))
            steps = [torch.zeros_like(weight) for weight in group["params"]]
            for rows in shapes.values():
                for (index, tall, _), made in zip(rows, orthogonal(torch.stack([m for *_, m in rows])), strict=True):
                    steps[index] = (made.T if tall else made).contiguous()
            mean_over_workers(steps)  # every step is zero but at one worker
            for weight, made in zip(group["params"], steps, strict=True):
                scale = workers() * max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
                weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(made, alpha=-group["lr"] * scale)
