"""What the trainers share: one thread, checkpoints that survive being stopped, and a brake.

A run is a folder with `state.pt` (weights, optimiser, step) and `log.jsonl`. It is written to a temporary name and renamed, so
that a power cut leaves the old one (POSIX rename is atomic). SIGTERM and SIGINT write a checkpoint, then end. While the file
named in the environment variable TRAIN_PAUSE exists, the run sleeps between two steps: other measurements get a quiet machine.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist

torch.set_num_threads(1)
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
if DEVICE.type == "cuda":
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


def half() -> torch.autocast:
    return torch.autocast(DEVICE.type, torch.bfloat16)


def spread(work: Callable, args, workers: int) -> None:
    """Runs work(args, rank) in `workers` processes that share every step; rank 0 is this one."""
    if workers == 1:
        return work(args, 0)
    with tempfile.TemporaryDirectory() as folder:
        context = torch.multiprocessing.get_context("spawn")
        others = [context.Process(target=_joined, args=(work, args, rank, workers, folder), daemon=True) for rank in range(1, workers)]
        for process in others:
            process.start()
        _joined(work, args, 0, workers, folder)
        for process in others:
            process.join()


def _joined(work: Callable, args, rank: int, workers: int, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=workers)
    work(args, rank)
    dist.destroy_process_group()


def workers() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def mean_over_workers(tensors: list[torch.Tensor]) -> None:
    """Replaces each tensor by its mean over the workers: one message for all."""
    if workers() > 1:
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        flat /= workers()
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))


def from_first_worker(tensors: list[torch.Tensor]) -> None:
    if workers() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, 0)


class Run:
    def __init__(self, folder: str | Path, save_every_s: float = 180.0, rank: int = 0, for_s: float = 0.0):
        self.rank, self.for_s, self.began = rank, for_s, time.monotonic()
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
        state = torch.load(path, weights_only=False, map_location=DEVICE) if path.exists() else None
        if state:
            self.cpu_s = state["cpu_s"]
        return state

    def done(self, step: int, steps: int) -> float:
        """How much of the run lies behind, 0 to 1: by the clock where it was given seconds, by steps otherwise."""
        return min(1.0, (time.monotonic() - self.began) / self.for_s if self.for_s else step / max(1, steps))

    def spent_s(self) -> float:
        now = time.process_time()
        self.cpu_s, self._cpu = self.cpu_s + now - self._cpu, now
        return self.cpu_s

    def save(self, state: dict, name: str = "state.pt") -> None:
        self.saved = time.monotonic()
        if self.rank:
            return
        part = self.folder / (name + ".part")
        torch.save({**state, "cpu_s": self.spent_s()}, part)
        os.replace(part, self.folder / name)

    def agree(self) -> None:
        """One worker's wish to stop becomes everybody's: called once a step."""
        flag = torch.tensor([float(self.stopping)])
        mean_over_workers([flag])
        self.stopping = bool(flag > 0)

    def due(self) -> bool:
        return self.stopping or time.monotonic() - self.saved > self.save_every_s

    def log(self, **values) -> None:
        if self.rank:
            return
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
        new = module.state_dict()
        smooth = [k for k, v in new.items() if v.dtype.is_floating_point]
        torch._foreach_lerp_([self.values[k] for k in smooth], [new[k] for k in smooth], 1 - decay)
        for key in new.keys() - set(smooth):
            self.values[key].copy_(new[key])
