"""Does the landmark index know a track again? Recall of excerpts under 38 conditions, and what unknown tracks score.

    python benches/peers/landmarks.py --music DIR --unknown DIR [--per-cell 300] [--unknown-queries 1500] [--jobs 2]

All tracks of `--music` are indexed. Excerpts of them, `--per-cell` per condition, spread over the tracks, are looked for, and so
are excerpts of the tracks of `--unknown`, which are not in the index, under the same conditions. The unknown tracks are split in
two by the folder below `--unknown` that they lie in: the threshold is set by those of the first half (`calibrate`) and counted on
those of the second (`check`), which share no folder with them.

A table with 95 % intervals (E. B. Wilson 1927) and the curve of the threshold are printed as JSON. Needs ffmpeg with rubberband.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import zlib

import numpy as np
from distort import CONDITIONS, RATE, decode, excerpt, factors

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SUFFIXES = {".ogg", ".flac", ".wav", ".mp3", ".m4a", ".opus", ".aiff", ".aif"}
SPLICES = ("30 % spliced in", "30 % overlaid, 0 dB")


def program() -> pathlib.Path:
    """`cargo build --release -p sonicforge-benches --bin fingerprint-peer`, or what SONICFORGE_FINGERPRINT_BIN names."""
    if named := os.environ.get("SONICFORGE_FINGERPRINT_BIN"):
        return pathlib.Path(named)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return next(p for p in (target / "release/fingerprint-peer", *sorted(target.glob("*/release/fingerprint-peer"))) if p.exists())


class Peer:
    """The program, which is sent sounds."""

    def __init__(self) -> None:
        self.child = subprocess.Popen([program(), "landmarks"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, what: str, name: str, x: np.ndarray) -> dict:
        data = x.astype("<f4").tobytes()
        assert self.child.stdin and self.child.stdout
        self.child.stdin.write(f"{what} {RATE} {len(data)} {name}\n".encode() + data)
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())


def tracks(folder: pathlib.Path, least_s: float) -> list[tuple[pathlib.Path, float]]:
    found = []
    for p in sorted(folder.rglob("*")):
        if p.suffix.lower() not in SUFFIXES or not p.is_file() or p.is_symlink() or p.stat().st_size < 200_000:
            continue
        got = subprocess.run(["ffprobe", "-v", "quiet", "-show_entries", "format=duration", "-of", "csv=p=0", p], capture_output=True)
        try:
            seconds = float(got.stdout)
        except ValueError:
            continue
        if seconds >= least_s:
            found.append((p, seconds))
    return found


_decoded: dict[pathlib.Path, np.ndarray] = {}


def sound(path: pathlib.Path) -> np.ndarray:
    if path not in _decoded:
        if len(_decoded) > 2:
            _decoded.clear()
        _decoded[path] = decode(path)
    return _decoded[path]


def make(job: tuple) -> tuple | None:
    """One query: (job, samples, where the excerpt begins in the track in seconds, where it lies in the query)."""
    path, condition, number, host = job
    rng = np.random.default_rng(zlib.crc32(f"{path.name}{condition}{number}".encode()))
    track = sound(path)
    if condition in SPLICES:
        around = sound(host)
        if len(track) < 37 * RATE or len(around) < 121 * RATE:
            return None
        part, start = excerpt(track, 36, rng)
        bed, _ = excerpt(around, 120, rng)
        at = int(rng.integers(0, 84 * RATE))
        query = bed.copy()
        gain = np.sqrt(np.mean(bed[at : at + len(part)] ** 2) + 1e-9) / np.sqrt(np.mean(part**2) + 1e-9)
        query[at : at + len(part)] = part if condition == SPLICES[0] else bed[at : at + len(part)] + gain * part
        return job, query, start, (at / RATE, (at + len(part)) / RATE)
    seconds, change = CONDITIONS[condition]
    if len(track) < (seconds + 1) * RATE:
        return None
    x, start = excerpt(track, seconds, rng)
    y = change(x, rng)
    return job, y / max(1.0, float(np.abs(y).max(initial=0))), start, (0.0, len(y) / RATE)


def wilson(hits: int, n: int) -> tuple[float, float]:
    if n == 0:
        return 0.0, 100.0
    z, p = 1.96, hits / n
    middle, half = p + z * z / 2 / n, z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    return tuple(round(100 * float(v) / (1 + z * z / n), 1) for v in (middle - half, middle + half))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--music", type=pathlib.Path, required=True)
    parser.add_argument("--unknown", type=pathlib.Path, required=True)
    parser.add_argument("--per-cell", type=int, default=300)
    parser.add_argument("--unknown-queries", type=int, default=1_500)
    parser.add_argument("--only", help="conditions that begin with this")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    known = tracks(args.music, 45)
    unknown = tracks(args.unknown, 20)
    package = lambda p: p.relative_to(args.unknown).parts[0]  # noqa: E731
    halves = [[t for t in unknown if (zlib.crc32(package(t[0]).encode()) % 5 < 2) == first] for first in (True, False)]
    hosts = [p for p, seconds in halves[0] if seconds > 121] or [known[0][0]]
    names = [c for c in (*CONDITIONS, *SPLICES) if args.only is None or c.startswith(args.only)]
    peer = Peer()
    jobs = []
    order = np.random.default_rng(7).permutation(len(known))
    for k, i in enumerate(order):
        count = args.per_cell * (k + 1) // len(known) - args.per_cell * k // len(known)
        jobs += [(known[i][0], c, n, hosts[(k + n) % len(hosts)]) for c in names for n in range(count)]
    plain = [c for c in names if c not in SPLICES] or list(CONDITIONS)
    impostors = []
    for half, share in zip(halves, (1 / 3, 2 / 3), strict=True):
        wanted = round(args.unknown_queries * share)
        listed = [(half[n % len(half)][0], plain[(n * 7 + n // len(half)) % len(plain)], n, None) for n in range(wanted if half else 0)]
        impostors.append(sorted(listed, key=lambda job: str(job[0])))
    cells = collections.defaultdict(list)
    scores: list[list[float]] = [[], []]
    with multiprocessing.Pool(args.jobs) as pool:
        for (path, seconds), x in zip(known, pool.imap(decode, [p for p, _ in known]), strict=True):
            size = peer.ask("track", str(path), x)
        print(size, file=sys.stderr)
        for which, list_ in enumerate(impostors):
            for made in pool.imap(make, list_, chunksize=4):
                if made:
                    scores[which].append(peer.ask("query", "-", made[1])["score"])
        print([sorted(s)[-5:] for s in scores], file=sys.stderr)
        for made in pool.imap(make, jobs, chunksize=4):
            if made:
                (path, condition, *_), x, start, (begin, end) = made
                got = peer.ask("query", "-", x)
                pitch, tempo = factors(condition)
                true_start = start + (got["query_start_s"] - begin) * got["tempo_factor"]
                cells[condition].append({
                    "right": got["id"] == str(path), "score": got["score"], "ms": got["query_ms"],
                    "offset": abs(got["track_start_s"] - true_start),
                    "pitch": abs(got["pitch_factor"] / pitch - 1), "tempo": abs(got["tempo_factor"] / tempo - 1),
                    "edge": max(abs(got["query_start_s"] - begin), abs(got["query_end_s"] - end)),
                })  # fmt: skip
    threshold = size["threshold"]
    result: dict[str, object] = {
        "index": size,
        "unknown_tracks": [len(h) for h in halves],
        "unknown_queries": [len(s) for s in scores],
        "highest": [round(max(s, default=0), 2) for s in scores],
        "threshold": threshold,
        "accepted": [sum(x >= threshold for x in s) for s in scores],
    }
    rows = {}
    for condition, got in cells.items():
        n = len(got)
        accepted = [g for g in got if g["right"] and g["score"] >= threshold]
        share = lambda key, most: round(100 * sum(g[key] <= most for g in accepted) / max(1, len(accepted)), 1)  # noqa: E731, B023
        rows[condition] = {
            "n": n, "first": round(100 * sum(g["right"] for g in got) / n, 1), "accepted": round(100 * len(accepted) / n, 1),
            "interval": wilson(len(accepted), n), "offset within 0.1 s": share("offset", 0.1),
            "pitch within 0.3 %": share("pitch", 0.003), "tempo within 0.3 %": share("tempo", 0.003),
            "median ms": round(float(np.median([g["ms"] for g in got])), 1),
        }  # fmt: skip
        if condition in SPLICES:
            rows[condition]["edges within 0.5 s"] = share("edge", 0.5)
        print(condition, rows[condition], file=sys.stderr)
    result["conditions"] = rows
    every = [g for got in cells.values() for g in got]
    result["curve"] = {
        str(t): {
            "recall": round(100 * sum(g["right"] and g["score"] >= t for g in every) / max(1, len(every)), 2),
            "unknown accepted": [sum(x >= t for x in s) for s in scores],
        }
        for t in np.arange(6, 14, 0.5)
    }
    print(json.dumps(result, indent=1, default=float))


if __name__ == "__main__":
    main()
