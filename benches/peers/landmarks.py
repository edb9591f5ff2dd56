"""Does the landmark index know a track again? Recall of excerpts under 38 conditions, and what unknown tracks score.

    python benches/peers/landmarks.py --music DIR --unknown DIR [--also NAME …] [--without NAME …] [--per-cell 300]
                                      [--unknown-queries 1800] [--cache DIR] [--prepare] [--seed 0] [--jobs 2]

All tracks of `--music` are indexed, and those of the folders of `--unknown` that `--also` names. Excerpts of them, `--per-cell` per
condition, spread over the tracks, are looked for, and so are excerpts of the other tracks of `--unknown`, which are not in the index,
under the same conditions. The unknown tracks are split in two by the folder below `--unknown` that they lie in: the threshold is set
by those of the first half (`calibrate`) and counted on those of the second (`check`), which share no folder with them. A file that
has the name of an indexed one is left out, and what `--without` names.

`--cache` keeps decoded tracks and distorted excerpts from one run to the next; `--prepare` makes them and asks nothing.

A table with 95 % intervals (E. B. Wilson 1927) and the curve of the threshold are printed as JSON. Needs ffmpeg with rubberband.
"""

from __future__ import annotations

import argparse
import collections
import collections.abc
import hashlib
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
_cache: pathlib.Path | None = None


def kept(name: str, compute: collections.abc.Callable[[], tuple | None]) -> tuple | None:
    """(samples, anything JSON can say), computed once if there is a cache: as 16 bits."""
    if _cache is None:
        return compute()
    base = _cache / hashlib.sha1(name.encode()).hexdigest()[:20]
    sound, said = base.with_suffix(".s16"), base.with_suffix(".json")
    if not said.exists():
        made = compute()
        x, more = made or (np.zeros(0, np.float32), None)
        sound.write_bytes(np.round(np.clip(x, -1, 1) * 32_767).astype("<i2").tobytes())
        said.write_text(json.dumps(more))
    more = json.loads(said.read_text())
    return None if more is None else (np.frombuffer(sound.read_bytes(), "<i2").astype(np.float32) / 32_767, more)


def sound(path: pathlib.Path) -> np.ndarray:
    if path not in _decoded:
        if len(_decoded) > 2:
            _decoded.clear()
        _decoded[path] = kept(f"{path}", lambda: (decode(path), []))[0]
    return _decoded[path]


def make(job: tuple) -> tuple | None:
    """One query: (job, samples, where the excerpt begins in the track in seconds, where it lies in the query)."""
    made = kept("|".join(map(str, job)), lambda: render(job))
    return made and (job, made[0], *made[1])


def render(job: tuple) -> tuple | None:
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
        return query / max(1.0, float(np.abs(query).max())), (start, (at / RATE, (at + len(part)) / RATE))
    seconds, change = CONDITIONS[condition]
    if len(track) < (seconds + 1) * RATE:
        return None
    x, start = excerpt(track, seconds, rng)
    y = change(x, rng)
    return y / max(1.0, float(np.abs(y).max(initial=0))), (start, (0.0, len(y) / RATE))


def set_cache(folder: pathlib.Path | None) -> None:
    global _cache
    _cache = folder
    if folder:
        folder.mkdir(parents=True, exist_ok=True)


def wilson(hits: int, n: int) -> tuple[float, float]:
    if n == 0:
        return 0.0, 100.0
    z, p = 1.96, hits / n
    middle, half = p + z * z / 2 / n, z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    return tuple(round(100 * float(v) / (1 + z * z / n), 1) for v in (middle - half, middle + half))


def plan(args: argparse.Namespace) -> tuple[list, list, list, list]:
    """The indexed tracks, the unknown ones in two halves, the queries of those, and the queries of these in two halves."""
    package = lambda p: p.relative_to(args.unknown).parts[0]  # noqa: E731
    others = tracks(args.unknown, 20)
    known = tracks(args.music, 45) + [t for t in others if package(t[0]) in args.also and t[1] >= 45]
    names_known = {p.stem.lower() for p, _ in known}
    unknown = [t for t in others if package(t[0]) not in args.also and t[0].stem.lower() not in names_known]
    halves = [[t for t in unknown if (zlib.crc32(package(t[0]).encode()) % 5 < 2) == first] for first in (True, False)]
    hosts = [p for p, seconds in halves[0] if seconds > 121] or [known[0][0]]
    names = [c for c in (*CONDITIONS, *SPLICES) if args.only is None or c.startswith(args.only)]
    # The n-th excerpt of a condition is of the n-th track in a random order. Made in two rounds, so that a smaller run is a
    # part of a larger one; within a round track by track.
    order = np.random.default_rng(7 + args.seed).permutation(len(known))
    jobs = []
    for round_ in (range(min(60, args.per_cell)), range(60, args.per_cell)):
        part = [(known[order[n % len(known)]][0], c, f"{args.seed}.{n}", hosts[n % len(hosts)]) for n in round_ for c in names]
        jobs += sorted(part, key=lambda job: str(job[0]))
    asked = names or [*CONDITIONS, *SPLICES]
    impostors = []
    for half, share in zip(halves, (1 / 3, 2 / 3), strict=True):
        beds = [p for p, seconds in half if seconds > 121]
        wanted = round(args.unknown_queries * share)
        listed = []
        for n in range(wanted if half else 0):
            path, _ = half[n % len(half)]
            condition = asked[(n * 7 + n // len(half)) % len(asked)]
            listed.append((path, condition, f"{args.seed}.{n}", beds[n % len(beds)] if condition in SPLICES else None))
        impostors.append(sorted(listed, key=lambda job: str(job[0])))
    # Left out at last, so that what is cached stays what it was.
    clean = lambda job: not {p.name for p in (job[0], job[3]) if p} & set(args.without)  # noqa: E731
    jobs = [job for job in jobs if job[1] not in SPLICES or clean(job)]
    return known, halves, jobs, [[job for job in half if clean(job)] for half in impostors]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--music", type=pathlib.Path, required=True)
    parser.add_argument("--unknown", type=pathlib.Path, required=True)
    parser.add_argument("--per-cell", type=int, default=300)
    parser.add_argument("--unknown-queries", type=int, default=1_800)
    parser.add_argument("--also", nargs="*", default=[], metavar="NAME", help="folders of --unknown that are indexed too")
    parser.add_argument("--without", nargs="*", default=[], metavar="NAME",
                        help="file names of unknown tracks whose work is indexed under another name")
    parser.add_argument("--same", nargs="*", default=[], metavar="NAME=NAME",
                        help="file names of two indexed tracks that are one recording: either is right")
    parser.add_argument("--only", help="conditions that begin with this")
    parser.add_argument("--seed", type=int, default=0, help="other excerpts")
    parser.add_argument("--cache", type=pathlib.Path, metavar="DIR")
    parser.add_argument("--prepare", action="store_true", help="fill the cache, and ask nothing")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    for pair in args.same:
        if pair.count("=") != 1:
            parser.error(f"--same {pair}: expected two file names, NAME=NAME")
    set_cache(args.cache)
    known, halves, jobs, impostors = plan(args)
    work = {name: pair for pair in args.same for name in pair.split("=")}
    recording = lambda path: work.get(pathlib.PurePath(path).name, str(path))  # noqa: E731
    cells = collections.defaultdict(list)
    scores: list[list[float]] = [[], []]
    if args.prepare:
        with multiprocessing.Pool(args.jobs, set_cache, (args.cache,)) as pool:
            for n, _ in enumerate(pool.imap(make, [*jobs, *impostors[0], *impostors[1]], chunksize=8)):
                if n % 500 == 0:
                    print(n, len(jobs), file=sys.stderr, flush=True)
        return
    peer = Peer()
    with multiprocessing.Pool(args.jobs, set_cache, (args.cache,)) as pool:
        for (path, seconds), x in zip(known, pool.imap(sound, [p for p, _ in known]), strict=True):
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
                    "right": recording(got["id"]) == recording(path), "score": got["score"], "ms": got["query_ms"],
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
        for t in np.arange(9, 18, 0.5)
    }
    print(json.dumps(result, indent=1, default=float))


if __name__ == "__main__":
    main()
