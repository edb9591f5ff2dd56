"""Decisions per second of CPU time through the Python package: `python benches/peers/optimize_bindings.py`; best of five."""

import time
from collections.abc import Callable

import sonicforge as sf


def rate(name: str, per_call: int, work: Callable[[], object]) -> None:
    best = 0.0
    for _ in range(5):
        begun, calls = time.process_time(), 0
        while time.process_time() - begun < 0.5:
            # Asking for the time costs as much as a few suggestions.
            for _ in range(max(1, 1_000 // per_call)):
                work()
            calls += max(1_000, per_call)
        best = max(best, calls / (time.process_time() - begun))
    print(f"{name:<58} {best:12,.0f} /s", flush=True)


for arms in (4, 100):
    optimizer = sf.PromptOptimizer()
    for n in range(arms):
        optimizer.add("c", f"prompt {n}")
    rate(f"suggest, K = {arms}", 1, lambda: optimizer.suggest("c"))
    rate(f"suggest_batch of 1000, K = {arms}", 1_000, lambda: optimizer.suggest_batch("c", 1_000))
    if arms == 4:
        rate("suggest and reward", 1, lambda: optimizer.reward(optimizer.suggest("c").token, 1))
