"""Are our words those of libchromaprint, and who is faster? Every preset, eight rates, mono and stereo, over a folder of music.

    python benches/peers/chromaprint.py --music DIR [--limit 120] [--seconds 60] [--speed-only | --equality-only]

libchromaprint (Debian: libchromaprint1) is called through its C interface and fed the whole PCM at once; ffmpeg decodes and
resamples for both. Raw words, compressed text and simhash are compared. CPU time is of 120 s of 44.1 kHz stereo PCM, by turns.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
RATES = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000)
SUFFIXES = {".ogg", ".flac", ".wav", ".mp3", ".m4a", ".opus", ".aiff", ".aif"}
LIB = ctypes.CDLL("libchromaprint.so.1")
LIB.chromaprint_new.restype = ctypes.c_void_p
LIB.chromaprint_get_version.restype = ctypes.c_char_p


def program() -> pathlib.Path:
    """`cargo build --release -p sonicforge-benches --bin fingerprint-peer`, or what SONICFORGE_FINGERPRINT_BIN names."""
    if named := os.environ.get("SONICFORGE_FINGERPRINT_BIN"):
        return pathlib.Path(named)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return next(p for p in (target / "release/fingerprint-peer", *sorted(target.glob("*/release/fingerprint-peer"))) if p.exists())


def theirs(pcm: bytes, rate: int, channels: int, algorithm: int) -> tuple[list[int], str, int]:
    """Words, text and simhash by libchromaprint."""
    context = ctypes.c_void_p(LIB.chromaprint_new(algorithm))
    LIB.chromaprint_start(context, rate, channels)
    LIB.chromaprint_feed(context, pcm, len(pcm) // 2)
    LIB.chromaprint_finish(context)
    words, count, text, simhash = ctypes.POINTER(ctypes.c_uint32)(), ctypes.c_int(), ctypes.c_char_p(), ctypes.c_uint32()
    LIB.chromaprint_get_raw_fingerprint(context, ctypes.byref(words), ctypes.byref(count))
    LIB.chromaprint_get_fingerprint(context, ctypes.byref(text))
    LIB.chromaprint_get_fingerprint_hash(context, ctypes.byref(simhash))
    found = words[: count.value], (text.value or b"").decode(), simhash.value
    LIB.chromaprint_free(context)
    return found


def decode_words(text: str) -> list[int]:
    """The words of a compressed text, by libchromaprint."""
    words, count, algorithm = ctypes.POINTER(ctypes.c_uint32)(), ctypes.c_int(), ctypes.c_int()
    raw = text.encode()
    if not LIB.chromaprint_decode_fingerprint(raw, len(raw), ctypes.byref(words), ctypes.byref(count), ctypes.byref(algorithm), 1):
        return []
    return words[: count.value]


def pcm(path: pathlib.Path, rate: int, channels: int, seconds: float, out: pathlib.Path) -> None:
    subprocess.run(
        ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", path, "-t", str(seconds), "-ar", str(rate), "-ac", str(channels),
         "-f", "s16le", out],
        check=True,
    )  # fmt: skip


def tracks(music: pathlib.Path, limit: int) -> list[pathlib.Path]:
    """As many as asked for, spread over the folder."""
    found = sorted(p for p in music.rglob("*") if p.suffix.lower() in SUFFIXES and not p.is_symlink() and p.stat().st_size > 400_000)
    return [found[i * len(found) // min(limit, len(found))] for i in range(min(limit, len(found)))]


def equality(chosen: list[pathlib.Path], seconds: float, work: pathlib.Path) -> dict[str, object]:
    """Every track at two of the rates and both channel numbers in turn, so that all pairs come up evenly; all presets."""
    child = subprocess.Popen([program(), "words"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin and child.stdout
    pairs = itertools.cycle(itertools.product(RATES, (1, 2)))
    cells: dict[str, list[int]] = {}
    odd = []
    file = work / "equality.s16"
    for path in chosen:
        for rate, channels in (next(pairs), next(pairs), next(pairs)):
            pcm(path, rate, channels, seconds, file)
            data = file.read_bytes()
            child.stdin.write(f"{file} {rate} {channels}\n")
            child.stdin.flush()
            for algorithm in range(5):
                words, text, simhash = theirs(data, rate, channels, algorithm)
                _, our_simhash, our_text = (child.stdout.readline().rstrip("\n") + " ").split(" ")[:3]
                ours = decode_words(our_text)
                same = sum(a == b for a, b in zip(ours, words, strict=False))
                exact = our_text == text and int(our_simhash) == simhash and len(ours) == len(words)
                cell = cells.setdefault(f"test{algorithm + 1} {rate} {channels}", [0, 0, 0, 0])
                for i, n in enumerate((1, exact, len(words), same)):
                    cell[i] += n
                if not exact:
                    odd.append({"track": path.name, "rate": rate, "channels": channels, "preset": algorithm + 1,
                                "words": len(words), "ours": len(ours), "equal": same})  # fmt: skip
    child.stdin.close()
    child.wait()
    total = [sum(c[i] for c in cells.values()) for i in range(4)]
    return {"tracks": len(chosen), "prints": total[0], "equal_prints": total[1], "words": total[2], "equal_words": total[3],
            "cells": cells, "different": odd}  # fmt: skip


def speed(chosen: list[pathlib.Path], work: pathlib.Path, repeats: int) -> dict[str, object]:
    out: dict[str, object] = {}
    for rate, channels in ((44_100, 2), (48_000, 2), (11_025, 1)):
        file = work / "speed.s16"
        with file.open("wb") as all_of_it:
            for path in chosen[:10]:
                pcm(path, rate, channels, 120, work / "one.s16")
                all_of_it.write((work / "one.s16").read_bytes())
        data = file.read_bytes()
        audio_s = len(data) / 2 / channels / rate
        times: dict[str, list[float]] = {"libchromaprint": [], "sonicforge": []}
        for _ in range(repeats):
            before = time.process_time()
            theirs(data, rate, channels, 1)
            times["libchromaprint"].append(time.process_time() - before)
            got = subprocess.run([program(), "time", file, str(rate), str(channels), "1"], capture_output=True, text=True, check=True)
            times["sonicforge"].append(float(got.stdout.split()[0]))
        medians = {name: statistics.median(t) for name, t in times.items()}
        out[f"{rate} Hz, {channels} ch"] = {"audio_s": round(audio_s, 1)} | {n: round(audio_s / t) for n, t in medians.items()} | {
            "ratio": round(medians["libchromaprint"] / medians["sonicforge"], 2)}  # fmt: skip
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--music", type=pathlib.Path, required=True)
    parser.add_argument("--limit", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--speed-only", action="store_true")
    parser.add_argument("--equality-only", action="store_true")
    args = parser.parse_args()
    chosen = tracks(args.music, args.limit)
    result: dict[str, object] = {"libchromaprint": LIB.chromaprint_get_version().decode()}
    with tempfile.TemporaryDirectory() as folder:
        if not args.speed_only:
            result["equality"] = equality(chosen, args.seconds, pathlib.Path(folder))
        if not args.equality_only:
            result["times_real_time"] = speed(chosen, pathlib.Path(folder), args.repeats)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
