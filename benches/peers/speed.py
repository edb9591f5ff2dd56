"""CPU time (user + system, one thread) of the same work on the same file, ours and the peers', interleaved in one run.

    python benches/peers/speed.py [--work DIR] [--runs 3] [--seconds 200] [--only chain,limiter] [--out speed]

The material is real music of the corpus: `loud` is the loudest track that is long enough, `quiet` the one nearest −18 LUFS; both
48 kHz stereo 24-bit WAV. `over` is `loud`, pushed until its true peak is 6 dB over −1 dBTP, as float WAV (for limiters).
Whole programs are timed as child processes, from file to file. What is inside a program is timed net: ffmpeg and sox minus their
null run on the same file, pedalboard and our own kernels by the process's CPU clock around the call.
Ratios are to the first of each group. A ratio over 1 says: so many times faster than the first.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import platform
import re
import sys
from collections.abc import Callable

import numpy as np
import soundfile

from common import WORK, Failed, ffmpeg, median, ours, read, run, save_json, table, version, write_float
from corpus import load
from judge import lufs, true_peak
from limiter import CEILING
from lv2 import dpl_bundle

HERE = pathlib.Path(__file__).resolve().parent

# Four bands at 120, 1200 and 6000 Hz, gentle: about 2:1 above −24 dB.
_CURVE = "-70/-70,-24/-24,0/-12"
MCOMPAND_FFMPEG = "mcompand='" + " | ".join(f"0.010,0.150 6 {_CURVE} {hz}" for hz in (120, 1200, 6000, 22000)) + "'"
MCOMPAND_SOX = ["mcompand", f"0.010,0.150 6:{_CURVE.replace('/', ',')}", "120", f"0.010,0.150 6:{_CURVE.replace('/', ',')}", "1200",
                f"0.010,0.150 6:{_CURVE.replace('/', ',')}", "6000", f"0.010,0.150 6:{_CURVE.replace('/', ',')}"]  # fmt: skip
COLOUR = f"deesser=i=0.5,{MCOMPAND_FFMPEG},aexciter,extrastereo=m=1.2"

Item = tuple[str, Callable[[], dict]]


def material(work: pathlib.Path, seconds: float) -> dict[str, pathlib.Path]:
    """The files that everybody works on."""
    folder = work / "speed"
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.wav" for name in ("loud", "quiet", "over")}
    if all(f.exists() for f in files.values()):
        return files
    long = [e for e in load(work) if e["seconds"] >= seconds + 5]
    if not long:
        raise SystemExit(f"no track of the corpus is {seconds} s long; name a shorter --seconds")
    chosen = {"loud": long[0], "quiet": min(long, key=lambda e: abs(e["lufs"] + 18))}
    for name, entry in chosen.items():
        run([*ffmpeg(), "-i", entry["path"], "-t", seconds, "-ar", "48000", "-c:a", "pcm_s24le", files[name]])
    audio, rate = read(files["loud"])
    write_float(files["over"], audio * 10 ** ((CEILING + 6 - true_peak(audio)) / 20), rate)
    return files


def process(command: list) -> Callable[[], dict]:
    """A whole child process."""

    def call() -> dict:
        got = run(command)
        return {"cpu_s": got["cpu_s"], "peak_mib": got["peak_mib"]}

    return call


def kernel(name: str, path: pathlib.Path, *extra: str) -> Callable[[], dict]:
    """One of our own kernels, or of a Rust crate, timed inside the process on the decoded file."""

    def call() -> dict:
        got = run([ours(), "time", name, path, *extra])
        said = json.loads(got["stdout"])
        return {"cpu_s": said["cpu_s"], "peak_mib": got["peak_mib"]}

    return call


def python_kernel(name: str, path: pathlib.Path) -> Callable[[], dict]:
    """A Python peer, timed inside a child process on the decoded file."""

    def call() -> dict:
        got = run([sys.executable, HERE / "speed.py", "--kernel", name, path])
        return {"cpu_s": float(got["stdout"].split()[-1]), "peak_mib": got["peak_mib"]}

    return call


def run_kernel(name: str, path: str) -> None:
    """The child's side of `python_kernel`."""
    import time

    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    planar = np.ascontiguousarray(audio.T)
    if name.startswith("pedalboard"):
        import pedalboard as p

        board = {
            "pedalboard-brickwall": lambda: p.BrickwallLimiter(ceiling_db=-1.0, true_peak=True),
            "pedalboard-eq5": lambda: p.Pedalboard([
                p.HighpassFilter(30), p.LowShelfFilter(100, 1.5), p.PeakFilter(400, -1.5), p.PeakFilter(3000, 1.0), p.HighShelfFilter(10000, 1.5)
            ]),
            "pedalboard-compressor": lambda: p.Compressor(-18, 2, 10, 150),
        }[name]()  # fmt: skip
        board(planar[:, :48000], rate)
        start = time.process_time()
        board(planar, rate)
    elif name == "dpl":
        from lv2 import dpl

        dpl(audio[:48000], rate, threshold=-1.0)
        start = time.process_time()
        dpl(audio, rate, threshold=-1.0)
    elif name == "pyloudnorm":
        import pyloudnorm

        meter = pyloudnorm.Meter(rate)
        start = time.process_time()
        meter.integrated_loudness(audio)
    else:
        raise SystemExit(f"no kernel {name}")
    print(time.process_time() - start)


def two_pass(path: pathlib.Path, target: float, folder: pathlib.Path, note: dict) -> Callable[[], dict]:
    """What people run today: colour, loudnorm measured in a first pass, applied in a second, then alimiter."""

    def call() -> dict:
        base = f"loudnorm=I={target}:TP=-1:LRA=20"
        first = run(["ffmpeg", "-nostdin", "-y", "-hide_banner", "-threads", "1", "-filter_threads", "1", "-i", path,
                     "-af", f"{COLOUR},{base}:print_format=json", "-f", "null", "-"])  # fmt: skip
        said = json.loads(re.findall(r"\{[^{}]*\}", first["stderr"])[-1])
        measured = (
            f"measured_I={said['input_i']}:measured_TP={said['input_tp']}:measured_LRA={said['input_lra']}:"
            f"measured_thresh={said['input_thresh']}:offset={said['target_offset']}:linear=true:print_format=json"
        )
        limit = 10 ** (-1 / 20)
        out = folder / "ffmpeg.wav"
        second = run(["ffmpeg", "-nostdin", "-y", "-hide_banner", "-threads", "1", "-filter_threads", "1", "-i", path,
                      "-af", f"{COLOUR},{base}:{measured},alimiter=limit={limit}:level=0:latency=1,aresample=48000",
                      "-c:a", "pcm_s24le", out])  # fmt: skip
        done = json.loads(re.findall(r"\{[^{}]*\}", second["stderr"])[-1])
        note["ffmpeg"] = {"mode": done["normalization_type"], "file": str(out)}
        return {"cpu_s": first["cpu_s"] + second["cpu_s"], "peak_mib": max(first["peak_mib"], second["peak_mib"])}

    return call


def net(null: Callable[[], dict], item: Callable[[], dict]) -> Callable[[], dict]:
    """The item minus a null run next to it."""

    def call() -> dict:
        nothing, all_of_it = null(), item()
        return {"cpu_s": max(1e-3, all_of_it["cpu_s"] - nothing["cpu_s"]), "peak_mib": all_of_it["peak_mib"]}

    return call


def filters(path: pathlib.Path, graph: str) -> Callable[[], dict]:
    """An ffmpeg filter graph, the file decoded, the result thrown away, minus the same without the filters."""
    null = process([*ffmpeg(), "-i", path, "-f", "null", "-"])
    return net(null, process([*ffmpeg(), "-i", path, "-af", graph, "-f", "null", "-"]))


def sox(path: pathlib.Path, effects: list[str]) -> Callable[[], dict]:
    """sox, likewise."""
    start = ["sox", "--single-threaded", "-V1", "--no-dither", path, "-n"]
    return net(process(start), process([*start, *effects]))


def groups(files: dict[str, pathlib.Path], work: pathlib.Path, notes: dict) -> dict[str, list[Item]]:
    """Everything that is compared: for each group the peers, the first of them being the yardstick, and ours."""
    folder = work / "speed"
    program = ours()
    loud, quiet, over = files["loud"], files["quiet"], files["over"]
    ours_here = program is not None
    found: dict[str, list[Item]] = {}

    for name, path in (("loud", loud), ("quiet", quiet)):
        note = notes.setdefault(f"chain-{name}", {})
        items: list[Item] = [("ffmpeg two-pass: deesser, mcompand, aexciter, extrastereo, loudnorm; alimiter", two_pass(path, -14.0, folder, note))]
        if ours_here:
            result = folder / f"ours-{name}.wav"
            note["ours"] = {"file": str(result), "report": str(folder / f"ours-{name}.json")}
            items.append((
                "SonicForge: analyse, the same four processors, limiter, verified, 24-bit WAV, report",
                process([program, "master", path, folder / "ours-chain.wav", "--target", "-14", "--chain", "colour"]),
            ))  # fmt: skip
            items.append((
                "SonicForge: analyse, plan, default chain, limiter, verified, 24-bit WAV, report",
                process([program, "master", path, result, "--target", "-14", "--report", folder / f"ours-{name}.json"]),
            ))  # fmt: skip
        found[f"chain-{name}"] = items

    found["chain-plain"] = [
        ("ffmpeg one pass, no loudness: deesser, mcompand, aexciter, extrastereo, alimiter in 4x",
         filters(loud, f"{COLOUR},aresample=192000,alimiter=limit=0.891:level=0,aresample=48000")),
    ] + ([("SonicForge chain (default preset with its limiter), kernel", kernel("chain", loud))] if ours_here else [])  # fmt: skip

    found["multiband"] = [
        ("ffmpeg mcompand, 4 bands", filters(loud, MCOMPAND_FFMPEG)),
        ("sox mcompand, 4 bands", sox(loud, MCOMPAND_SOX)),
    ] + ([("SonicForge Multiband, 4 bands", kernel("multiband", loud))] if ours_here else [])

    found["limiter"] = [
        ("pedalboard BrickwallLimiter, true peak", python_kernel("pedalboard-brickwall", over)),
        ("ffmpeg alimiter in 4x aresample", filters(over, "aresample=192000,alimiter=limit=0.891:level=0,aresample=48000")),
        ("ffmpeg alimiter, no true peak", filters(over, "alimiter=limit=0.891:level=0")),
        *([("x42 dpl, true peak", python_kernel("dpl", over))] if dpl_bundle() else []),
    ] + ([("SonicForge Limiter, streaming", kernel("limiter", over))] if ours_here else [])

    found["meter"] = [
        ("crate ebur128, full mode", kernel("ebur128", loud)) if ours_here else
        ("ffmpeg ebur128=peak=true", filters(loud, "ebur128=peak=true")),
        *([("ffmpeg ebur128=peak=true", filters(loud, "ebur128=peak=true"))] if ours_here else []),
        ("pyloudnorm, integrated only", python_kernel("pyloudnorm", loud)),
    ] + ([
        ("SonicForge analyze (everything)", kernel("analyze", loud)),
        ("SonicForge loudness + true peak meters", kernel("meters", loud)),
    ] if ours_here else [])  # fmt: skip

    eq5 = "highpass=30,lowshelf=f=100:g=1.5,equalizer=f=400:t=q:w=1:g=-1.5,equalizer=f=3000:t=q:w=1:g=1,highshelf=f=10000:g=1.5"
    found["equalizer"] = [
        ("ffmpeg, 5 bands", filters(loud, eq5)),
        ("pedalboard, 5 bands", python_kernel("pedalboard-eq5", loud)),
    ] + ([("SonicForge Equalizer, 5 bands", kernel("equalizer", loud))] if ours_here else [])
    for name, graph, own in (
        ("de-esser", "deesser=i=0.5", "de_esser"), ("exciter", "aexciter", "exciter"), ("widener", "extrastereo=m=1.2", "widener"),
    ):  # fmt: skip
        found[name] = [(f"ffmpeg {graph}", filters(loud, graph))] + ([(f"SonicForge {own}", kernel(own, loud))] if ours_here else [])
    found["glue"] = [
        ("ffmpeg acompressor", filters(loud, "acompressor=threshold=0.125:ratio=2:attack=10:release=150")),
        ("pedalboard Compressor", python_kernel("pedalboard-compressor", loud)),
    ] + ([("SonicForge glue", kernel("glue", loud))] if ours_here else [])
    return found


def denormals(work: pathlib.Path) -> list[dict]:
    """Each kernel on loud noise, and on the silence that follows a burst: the ratio of the two times. 1 is a guard that works."""
    program = ours()
    if program is None:
        return []
    folder = work / "speed"
    rate, seconds = 48000, 60
    rng = np.random.default_rng(7)
    noise = (0.1 * rng.standard_normal((rate * seconds, 2))).astype(np.float32)
    burst = np.zeros_like(noise)
    burst[: rate // 10] = noise[: rate // 10]
    for name, audio in (("noise", noise), ("burst", burst)):
        write_float(folder / f"{name}.wav", audio, rate)
    rows = []
    for name in ("biquad-crate", "equalizer", "de_esser", "multiband", "exciter", "widener", "glue", "limiter", "analyze"):
        times = {k: [] for k in ("noise", "burst")}
        try:
            for _ in range(3):
                for k in times:
                    times[k].append(kernel(name, folder / f"{k}.wav")()["cpu_s"])
        except Failed as error:
            print(f"denormals: {name}: {str(error)[-200:]}")
            continue
        noise_s, burst_s = median(times["noise"]), median(times["burst"])
        rows.append({"kernel": name, "noise_s": noise_s, "silence_s": burst_s, "ratio": burst_s / noise_s})
        print(f"denormals {name:14s} noise {noise_s:.3f} s, silence after a burst {burst_s:.3f} s, ratio {burst_s / noise_s:.2f}", flush=True)
    return rows


def memory(files: dict[str, pathlib.Path], work: pathlib.Path) -> list[dict]:
    """Peak memory of mastering from file to file: the track once, and over and over for an hour."""
    program = ours()
    if program is None:
        return []
    hour, out, rows = work / "speed" / "hour.wav", work / "speed" / "hour-out.wav", []
    run([*ffmpeg(), "-stream_loop", "-1", "-i", files["loud"], "-t", "3600", "-c:a", "pcm_s16le", hour])
    for path in (files["loud"], hour):
        got = run([program, "master", path, out, "--target", "-14", "--bits", "16"])
        rows.append({"minutes": soundfile.info(str(path)).duration / 60, "peak_mib": got["peak_mib"], "cpu_s": got["cpu_s"]})
        print(f"memory {rows[-1]['minutes']:.1f} minutes: {rows[-1]['peak_mib']:.1f} MiB, {rows[-1]['cpu_s']:.1f} s", flush=True)
    hour.unlink(), out.unlink()
    return rows


def measure(name: str, items: list[Item], runs: int, seconds: float) -> list[dict]:
    """Medians of `runs` rounds, everybody once per round."""
    times: dict[str, list[float]] = {who: [] for who, _ in items}
    peaks: dict[str, float] = {}
    for _ in range(runs):
        for who, call in items:
            if who in peaks and peaks[who] < 0:
                continue
            try:
                got = call()
            except Failed as error:
                print(f"{name}: {who}: {str(error)[-400:]}")
                peaks[who] = -1
                continue
            times[who].append(got["cpu_s"])
            peaks[who] = max(peaks.get(who, 0), got["peak_mib"])
    rows = []
    yardstick = median(times[items[0][0]]) if times[items[0][0]] else float("nan")
    for who, _ in items:
        if not times[who] or peaks[who] < 0:
            continue
        cpu = median(times[who])
        spread = (max(times[who]) - min(times[who])) / cpu
        rows.append({"group": name, "who": who, "cpu_s": cpu, "spread": spread, "times": times[who], "rtf": seconds / cpu, "peak_mib": peaks[who],
                     "ratio": yardstick / cpu})  # fmt: skip
        print(f"{name:12s} {who:75s} {cpu:7.3f} s  {seconds / cpu:7.0f}x  {peaks[who]:6.0f} MiB  ratio {yardstick / cpu:6.2f}  spread {spread:.0%}", flush=True)
    return rows


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[1] == "--kernel":
        run_kernel(sys.argv[2], sys.argv[3])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=WORK)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=200.0)
    parser.add_argument("--only", default="", help="groups, comma separated: chain, multiband, limiter, meter, equalizer, … denormals, memory")
    parser.add_argument("--out", type=pathlib.Path, help="writes OUT.json and OUT.md (default WORK/speed-results)")
    options = parser.parse_args()
    out = options.out or options.work / "speed-results"
    wanted = [w for w in options.only.split(",") if w]
    files = material(options.work, options.seconds)
    notes: dict = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {"ffmpeg": version(["ffmpeg", "-version"]), "sox": version(["sox", "--version"]), "pedalboard": _pedalboard()},
    }
    rows: list[dict] = []
    for name, items in groups(files, options.work, notes).items():
        if not wanted or any(w in name for w in wanted):
            rows += measure(name, items, options.runs, options.seconds)
    for key, note in notes.items():
        for who in note if key.startswith("chain") else ():
            path = pathlib.Path(note[who]["file"])
            if path.exists():
                audio, rate = read(path)
                note[who] |= {"lufs": lufs(audio, rate), "true_peak_dbtp": true_peak(audio)}
                print(f"{key}: {who}: {note[who]['lufs']:.2f} LUFS, {note[who]['true_peak_dbtp']:+.2f} dBTP {note[who].get('mode', '')}")
    silence = denormals(options.work) if not wanted or "denormals" in wanted else []
    length = memory(files, options.work) if not wanted or "memory" in wanted else []
    save_json(out.with_suffix(".json"), {"notes": notes, "rows": rows, "denormals": silence, "memory": length})
    text = ""
    for group in dict.fromkeys(r["group"] for r in rows):
        text += f"\n### {group}\n\n" + table(
            ["what", "CPU s", "times real time", "peak MiB", "times faster than the first"],
            [[r["who"], r["cpu_s"], f"{r['rtf']:.0f}", f"{r['peak_mib']:.0f}", f"{r['ratio']:.2f}"] for r in rows if r["group"] == group],
        )
        for who, said in notes.get(group, {}).items() if group.startswith("chain") else ():
            if "lufs" in said:
                text += f"\n{who} landed at {said['lufs']:.2f} LUFS, {said['true_peak_dbtp']:+.2f} dBTP" + (f" (loudnorm went {said['mode']})" if "mode" in said else "") + ".\n"
    if silence:
        text += "\n### denormals\n\n" + table(
            ["kernel", "noise, s", "silence after a burst, s", "ratio"], [[r["kernel"], r["noise_s"], r["silence_s"], f"{r['ratio']:.2f}"] for r in silence]
        )
    out.with_suffix(".md").write_text(text.lstrip())


def _pedalboard() -> str:
    try:
        import pedalboard

        return pedalboard.__version__
    except ImportError:
        return "absent"


if __name__ == "__main__":
    main()
