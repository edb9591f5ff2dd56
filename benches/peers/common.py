"""What the scripts of this folder share: places, child processes with their CPU time, WAV files, tables."""

from __future__ import annotations

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import soundfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
WORK = pathlib.Path(os.environ.get("SONICFORGE_BENCH_DIR", pathlib.Path(tempfile.gettempdir()) / "sonicforge-bench"))

# One thread for everybody: the comparison is of work, not of cores.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def ours() -> pathlib.Path | None:
    """The program that runs our own side (`cargo build --release -p sonicforge-benches --bin peers`), or None."""
    named = os.environ.get("SONICFORGE_PEERS_BIN")
    if named:
        return pathlib.Path(named)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    triple = os.environ.get("CARGO_BUILD_TARGET", "")
    for folder in ([target / triple / "release"] if triple else []) + [target / "release"]:
        if (folder / "peers").exists():
            return folder / "peers"
    found = sorted(target.glob("*/release/peers"))
    return found[0] if found else None


class Failed(RuntimeError):
    """A child process that did not end well."""


def _peak_kib(pid: int) -> int:
    """Peak resident memory of a running process so far (Linux), else 0."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        return 0


def run(command: list[str], *, quiet: bool = True, cwd: str | None = None) -> dict[str, object]:
    """Runs a command to its end. Gives its CPU seconds (user + system, by wait4), its peak memory in MiB, and its output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd)
        # ru_maxrss of a forked child counts what its parent held, so the peak is read from the running child.
        peak_kib, ended = 0, 0
        while not ended:
            peak_kib = max(peak_kib, _peak_kib(child.pid))
            ended, status, usage = os.wait4(child.pid, os.WNOHANG)
            if not ended:
                time.sleep(0.01)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        stdout, stderr = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    if child.returncode:
        raise Failed(f"{' '.join(map(str, command))}\n{stdout[-2000:]}{stderr[-4000:]}")
    if not quiet:
        sys.stderr.write(stderr)
    return {
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mib": (peak_kib or usage.ru_maxrss) / 1024,
        "stdout": stdout,
        "stderr": stderr,
    }


def ffmpeg() -> list[str]:
    """ffmpeg, one thread, nothing said but errors."""
    return ["ffmpeg", "-v", "error", "-nostdin", "-y", "-threads", "1", "-filter_threads", "1"]


def read(path) -> tuple[np.ndarray, int]:
    """float64 (frames, channels) and the rate."""
    return soundfile.read(str(path), dtype="float64", always_2d=True)


def write_float(path, audio: np.ndarray, rate: int) -> None:
    """A 32-bit float WAV: nothing is clipped, nothing is dithered."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), audio.astype(np.float32), rate, subtype="FLOAT")


def save_json(path, value) -> None:
    """Writes a result, indented."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, allow_nan=True) + "\n")


def table(head: list[str], rows: list[list[object]]) -> str:
    """A markdown table."""

    def cell(value: object) -> str:
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(cell(v) for v in row) + " |" for row in rows]) + "\n"


def median(values) -> float:
    """The middle one."""
    return float(statistics.median(values))


def version(command: list[str]) -> str:
    """The first line a program says about itself, or that it is absent."""
    try:
        got = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return (got.stdout or got.stderr).strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "absent"
