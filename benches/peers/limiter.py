"""Limiters side by side on loud real music: who keeps the ceiling, and what it costs.

Each track (its loudest minute) is pushed until its true peak is 3, 6 and 10 dB over a ceiling of −1 dBTP, and limited by every
peer at that ceiling. The 16× judge reads how far over each comes. Then each peer's ceiling is lowered until the judge passes it,
and at that point loudness and residual (what is not the input, after a gain match) are compared.

    python benches/peers/limiter.py [--work DIR] [--tracks 6] [--pushes 3,6,10] [--only ours,dpl]
                                    [--out limiter] [--keep-inputs DIR]
                                    [--command 'name=program {in} {out} {ceiling}']
"""

from __future__ import annotations

import argparse
import math
import pathlib
import shlex
import tempfile
from collections.abc import Callable

import numpy as np

from common import WORK, Failed, ffmpeg, ours, read, run, save_json, table, write_float
from corpus import load
from judge import lufs, residual, true_peak
from lv2 import dpl, dpl_bundle

CEILING = -1.0
# The judge passes what is not a thousandth of a dB over: a file holds f32 or 24 bit, and the judge is good to 0.001 dB.
PASS = 0.001

Limiter = Callable[[np.ndarray, int, float], np.ndarray]


def through_files(command: Callable[[str, str, int], list]) -> Callable[[np.ndarray, int], np.ndarray]:
    """A program that reads and writes float WAV, as a function on arrays."""

    def call(audio: np.ndarray, rate: int) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            source, target = f"{folder}/in.wav", f"{folder}/out.wav"
            write_float(source, audio, rate)
            run(command(source, target, rate))
            return read(target)[0]

    return call


def alimiter(audio: np.ndarray, rate: int, ceiling: float) -> np.ndarray:
    """ffmpeg's alimiter inside a 4× aresample, as its manual advises; defaults, but no automatic level."""
    limit = 10 ** (ceiling / 20)
    graph = f"aresample={4 * rate},alimiter=limit={limit:.9f}:level=0:latency=1,aresample={rate}"
    return through_files(lambda a, b, _: [*ffmpeg(), "-i", a, "-af", graph, "-c:a", "pcm_f32le", b])(audio, rate)


def brickwall(audio: np.ndarray, rate: int, ceiling: float) -> np.ndarray:
    """pedalboard's BrickwallLimiter, true peak on, otherwise its defaults."""
    from pedalboard import BrickwallLimiter

    limiter = BrickwallLimiter(ceiling_db=ceiling, true_peak=True)
    return limiter(np.ascontiguousarray(audio.T, dtype=np.float32), rate).T.astype(np.float64)


def x42(audio: np.ndarray, rate: int, ceiling: float) -> np.ndarray:
    """The x42 digital peak limiter, true peak on, default release (10 ms)."""
    return dpl(audio, rate, threshold=ceiling)


def x42_slow(audio: np.ndarray, rate: int, ceiling: float) -> np.ndarray:
    """The same with a release of 100 ms."""
    return dpl(audio, rate, threshold=ceiling, release=0.1)


def own(mode: str) -> Limiter:
    """SonicForge's limiter: `offline` renders and verifies, `streaming` is one pass of blocks."""
    program = ours()

    def call(audio: np.ndarray, rate: int, ceiling: float) -> np.ndarray:
        return through_files(lambda a, b, _: [program, "limiter", a, b, "--ceiling", ceiling, "--mode", mode])(audio, rate)

    return call


def named(line: str) -> Limiter:
    """Any program, by its command line."""

    def call(audio: np.ndarray, rate: int, ceiling: float) -> np.ndarray:
        return through_files(
            lambda a, b, _: [w.format(**{"in": a, "out": b, "ceiling": ceiling}) for w in shlex.split(line)]
        )(audio, rate)

    return call


def contestants() -> dict[str, Limiter]:
    """Everybody who is here."""
    found: dict[str, Limiter] = {
        "ffmpeg alimiter in 4x": alimiter,
        "pedalboard Brickwall TP": brickwall,
    }
    if dpl_bundle():
        found |= {"x42 dpl TP": x42, "x42 dpl TP 100 ms": x42_slow}
    else:
        print("x42 dpl is not installed (apt-get install x42-plugins): left out")
    if ours():
        found |= {"SonicForge offline": own("offline"), "SonicForge streaming": own("streaming")}
    else:
        print("our own program is not built (cargo build --release -p sonicforge-benches --bin peers): left out")
    return found


def loudest(audio: np.ndarray, rate: int, seconds: float) -> np.ndarray:
    """The loudest stretch of so many seconds, cut at whole seconds."""
    energy = np.concatenate([[0.0], np.cumsum(np.sum(audio * audio, axis=1))])
    size = int(seconds * rate)
    if len(audio) <= size:
        return audio
    starts = np.arange(0, len(audio) - size, rate)
    start = starts[np.argmax(energy[starts + size] - energy[starts])]
    return audio[start : start + size]


def lowered(limiter: Limiter, audio: np.ndarray, rate: int) -> tuple[float, float, float, np.ndarray]:
    """Over at −1 dBTP; then the highest ceiling found at which the judge passes, the over there, and that output.

    Being over is nearly proportional to the ceiling, so lowering by what was read settles in a few steps.
    """
    out = limiter(audio, rate, CEILING)
    first = over = true_peak(out) - CEILING
    ceiling = CEILING
    best: tuple[float, float, np.ndarray] | None = (CEILING, over, out) if over <= PASS else None
    for _ in range(8):
        if best is not None and (ceiling == CEILING or over > -0.01):
            break
        # Under by more than a hundredth is room given away: go back up halfway, so as not to wrong the peer.
        ceiling -= over if over > PASS else over / 2
        ceiling = min(ceiling, CEILING)
        out = limiter(audio, rate, ceiling)
        over = true_peak(out) - CEILING
        if over <= PASS and (best is None or ceiling > best[0]):
            best = (ceiling, over, out)
    if best is None:
        return first, ceiling, over, out
    return first, *best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=WORK)
    parser.add_argument("--tracks", type=int, default=6, help="how many of the loudest tracks (default 6)")
    parser.add_argument("--seconds", type=float, default=60.0, help="the loudest stretch of each (default 60)")
    parser.add_argument("--pushes", default="3,6,10", help="dB over the ceiling (default 3,6,10)")
    parser.add_argument("--only", default="", help="part of the names of those to run, comma separated")
    parser.add_argument("--out", type=pathlib.Path, help="writes OUT.json and OUT.md (default WORK/limiter)")
    parser.add_argument("--command", action="append", default=[], help="NAME=a program with {in}, {out} (float WAV) and {ceiling} in its line")
    parser.add_argument("--keep-inputs", type=pathlib.Path, help="leaves the pushed tracks there as float WAV")
    options = parser.parse_args()
    out = options.out or options.work / "limiter"
    wanted = [w for w in options.only.split(",") if w]
    limiters = {n: f for n, f in contestants().items() if not wanted or any(w.lower() in n.lower() for w in wanted)}
    limiters |= {name: named(line) for name, line in (c.split("=", 1) for c in options.command)}
    rows: list[dict] = []
    for entry in load(options.work)[: options.tracks]:
        whole, rate = read(entry["path"])
        audio = loudest(whole, rate, options.seconds)
        peak = true_peak(audio)
        for push in (float(p) for p in options.pushes.split(",")):
            gain = CEILING + push - peak
            # What every limiter gets is the same 32-bit float.
            pushed = (audio * 10 ** (gain / 20)).astype(np.float32).astype(np.float64)
            name = f"{entry['name']}+{push:g}dB"
            if options.keep_inputs:
                write_float(options.keep_inputs / f"{name}.wav", pushed, rate)
            before = lufs(pushed, rate)
            for who, limiter in limiters.items():
                try:
                    first, ceiling, over, processed = lowered(limiter, pushed, rate)
                except (Failed, RuntimeError) as error:
                    print(f"{name}: {who} failed: {str(error)[-300:]}")
                    continue
                got = residual(processed, pushed, rate)
                row = {
                    "track": name, "push_db": push, "input_lufs": before, "who": who, "over_at_ceiling_db": first,
                    "ceiling_dbtp": ceiling, "over_db": over, "passes": over <= PASS, "lufs": lufs(processed, rate), **got,
                }  # fmt: skip
                rows.append(row)
                print(
                    f"{name:34s} {who:28s} over {first:+.3f}  ceiling {ceiling:+.3f} (over {over:+.3f})  "
                    f"{row['lufs']:7.3f} LUFS  residual {got['residual_db']:6.2f}  fast {got['residual_fast_db']:6.2f} dB",
                    flush=True,
                )
            save_json(out.with_suffix(".json"), rows)
            out.with_suffix(".md").write_text(report(rows))


def report(rows: list[dict]) -> str:
    """The markdown: a summary per limiter, then everything."""
    names = list(dict.fromkeys(r["who"] for r in rows))
    tracks = list(dict.fromkeys(r["track"] for r in rows))
    summary = []
    for who in names:
        mine = [r for r in rows if r["who"] == who and math.isfinite(r["lufs"])]
        summary.append([
            who, max(r["over_at_ceiling_db"] for r in mine), float(np.mean([r["lufs"] for r in mine])),
            float(np.mean([r["residual_db"] for r in mine])), float(np.mean([r["residual_fast_db"] for r in mine])),
        ])  # fmt: skip
    text = "## Mean over the tracks, each at the ceiling the judge passes\n\n" + table(
        ["limiter", "worst over at −1 dBTP, dB", "loudness, LUFS", "residual, dB", "residual without gain riding, dB"], summary
    )
    text += "\n## Every track\n\n" + table(
        ["track, push over the ceiling", "limiter", "over at −1, dB", "ceiling after lowering, dBTP", "over then, dB", "LUFS", "residual, dB",
         "residual without gain riding, dB", "loudness lost, LU"],
        [[r["track"], r["who"], r["over_at_ceiling_db"], r["ceiling_dbtp"], r["over_db"], r["lufs"], r["residual_db"],
          r["residual_fast_db"], r["input_lufs"] - r["lufs"]] for t in tracks for r in rows if r["track"] == t],
    )  # fmt: skip
    return text


if __name__ == "__main__":
    main()
