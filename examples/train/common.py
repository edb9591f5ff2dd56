"""What the trainers share: one thread, checkpoints that survive being stopped, and a brake.

A run is a folder with `state.pt` (weights, optimiser, step) and `log.jsonl`. It is written to a temporary name and renamed, so
that a power cut leaves the old one (POSIX rename is atomic). SIGTERM and SIGINT write a checkpoint, then end. While the file
named in the environment variable TRAIN_PAUSE exists, the run sleeps between two steps: other measurements get a quiet machine.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import torch

torch.set_num_threads(1)


class Run:
    def __init__(self, folder: str | Path, save_every_s: float = 180.0):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.save_every_s, self.saved = save_every_s, time.monotonic()
        self.stopping = False
        self.cpu_s = 0.0  # over all starts
        self._cpu = time.process_time()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)

    def _stop(self, *_):
        self.stopping = True

    def load(self) -> dict | None:
        path = self.folder / "state.pt"
        state = torch.load(path, weights_only=False) if path.exists() else None
        if state:
            self.cpu_s = state["cpu_s"]
        return state

    def spent_s(self) -> float:
        now = time.process_time()
        self.cpu_s, self._cpu = self.cpu_s + now - self._cpu, now
        return self.cpu_s

    def save(self, state: dict, name: str = "state.pt") -> None:
        part = self.folder / (name + ".part")
        torch.save({**state, "cpu_s": self.spent_s()}, part)
        os.replace(part, self.folder / name)
        self.saved = time.monotonic()

    def due(self) -> bool:
        return self.stopping or time.monotonic() - self.saved > self.save_every_s

    def log(self, **values) -> None:
        values = {k: round(v, 5) if isinstance(v, float) else v for k, v in values.items()}
        line = json.dumps({**values, "cpu_s": round(self.spent_s()), "at": time.strftime("%H:%M:%S")})
        with open(self.folder / "log.jsonl", "a") as file:
            file.write(line + "\n")
        print(line, flush=True)

    def pause(self) -> None:
        brake = os.environ.get("TRAIN_PAUSE")
        while brake and os.path.exists(brake) and not self.stopping:
            time.sleep(0.5)


class Average:
    """Exponential moving average of the weights: what is evaluated and shipped."""

    def __init__(self, module: torch.nn.Module, decay: float):
        self.decay = decay
        self.values = {k: v.detach().clone() for k, v in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: torch.nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in module.state_dict().items():
            if value.dtype.is_floating_point:
                self.values[key].lerp_(value, 1 - decay)
            else:
                self.values[key].copy_(value)
