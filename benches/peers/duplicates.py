"""Are the duplicates of a folder found, and nothing else? Whole files through codecs, equalizers, other speeds and cuts.

    cargo build --release -p sonicforge-benches --features sonicforge-core/opus --bin index-figures
    python benches/peers/duplicates.py --music DIR [--tracks 26] [--work DIR] [--jobs 2]

All tracks of `--music` that are 60 to 480 s long are put into one folder (as links), and of `--tracks` of them, chosen at random,
one copy for each condition. Counted are the copies that are in a group with their original, what their relation is called, and all
pairs of different originals that are said to be duplicates or to share a part: those are printed, to be judged by ear and name.
Needs ffmpeg with rubberband.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from landmarks import REPOSITORY, tracks

SPEEDS = (-4, -2, -1, 1, 2, 4)
# Condition → ending of the file, and what ffmpeg is told.
CONDITIONS: dict[str, tuple[str, list[str]]] = {
    "mp3 64k": ("mp3", ["-b:a", "64k"]),
    "aac 48k": ("m4a", ["-c:a", "aac", "-b:a", "48k"]),
    "mono, 22 kHz, 32k": ("mp3", ["-ac", "1", "-ar", "22050", "-b:a", "32k"]),
    "eq": ("flac", ["-af", "bass=g=8:f=150,treble=g=-8:f=4000,equalizer=f=1000:t=q:w=1:g=-6"]),
    "mastered": ("flac", ["-af", "bass=g=3:f=100,treble=g=3:f=6000,acompressor=threshold=0.1:ratio=6:attack=5:release=80:makeup=3,"
                          "alimiter=limit=0.7"]),
    **{f"speed {p:+d} %": ("flac", ["-af", f"aresample=44100,asetrate={round(44_100 * (1 + p / 100))},aresample=44100"])
       for p in SPEEDS},
    **{f"tempo {p:+d} %": ("flac", ["-af", f"rubberband=tempo={1 + p / 100}"]) for p in (-2, 2)},
    "intro cut, 9 s": ("flac", ["-ss", "9"]),
}  # fmt: skip
EXPECTED = {
    "speed": {"sped"}, "tempo": {"sped"}, "intro": {"trimmed"}, "eq": {"remaster", "transcode"}, "mastered": {"remaster", "transcode"},
}  # fmt: skip


def program() -> pathlib.Path:
    if named := os.environ.get("SONICFORGE_INDEX_BIN"):
        return pathlib.Path(named)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return next(p for p in (target / "release/index-figures", *sorted(target.glob("*/release/index-figures"))) if p.exists())


def make(job: tuple[pathlib.Path, pathlib.Path, list[str]]) -> None:
    source, out, options = job
    if out.exists():
        return
    before = options[:2] if options[0] == "-ss" else []
    rest = options[len(before) :]
    part = out.with_name("part." + out.name)
    kind = [] if out.suffix != ".flac" else ["-sample_fmt", "s16", "-compression_level", "0"]
    subprocess.run(["ffmpeg", "-v", "quiet", "-nostdin", "-y", *before, "-i", source, "-vn", *rest, *kind, part], check=True)
    part.rename(out)


def different(names: dict[str, str], unread: set[str]) -> int:
    """Pairs of files that are not of one original."""
    sizes = collections.Counter(name for copy, name in names.items() if copy not in unread).values()
    total = sum(sizes)
    return (total * (total - 1) - sum(n * (n - 1) for n in sizes)) // 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--music", type=pathlib.Path, required=True)
    parser.add_argument("--tracks", type=int, default=26)
    parser.add_argument("--work", type=pathlib.Path, help="keep the copies here")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    known = [p for p, seconds in tracks(args.music, 60) if seconds <= 480]
    with tempfile.TemporaryDirectory() as scratch:
        folder = (args.work or pathlib.Path(scratch)) / "tracks"
        folder.mkdir(parents=True, exist_ok=True)
        jobs = []
        names = {}
        for path in known:
            name = str(path.relative_to(args.music)).replace("/", "_")
            names[name] = name
            if not (folder / name).exists():
                try:
                    os.link(path, folder / name)
                except OSError:
                    (folder / name).write_bytes(path.read_bytes())
        for i in np.random.default_rng(3).permutation(len(known))[: args.tracks]:
            name = str(known[i].relative_to(args.music)).replace("/", "_")
            for condition, (suffix, options) in CONDITIONS.items():
                copy = f"{pathlib.Path(name).stem}@{condition}.{suffix}"
                names[copy] = name
                jobs.append((known[i], folder / copy, options))
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(make, jobs))
        got = json.loads(subprocess.run([program(), "dedupe", folder, folder.parent / "index"], stdout=subprocess.PIPE, check=True).stdout)
    report = got["report"]
    unread = {name for name, _ in got["scan"]["failed"]}
    where = {i: n for n, group in enumerate(report["groups"]) for i in group["ids"]}
    found: dict[str, list[str]] = collections.defaultdict(list)
    pairs = [p for g in report["groups"] for p in g["pairs"]]
    relations = {frozenset((p["first"], p["second"])): p["relation"] for p in pairs}
    values = {frozenset((p["first"], p["second"])): (p["score"], p["agreement"]) for p in pairs}
    scores: dict[str, list[tuple[float | None, float | None]]] = collections.defaultdict(list)
    for copy, name in names.items():
        if copy != name and name not in unread:
            condition = copy.rsplit("@", 1)[1].rsplit(".", 1)[0]
            together = where.get(copy, -1) == where.get(name, -2)
            scores[condition].append(values.get(frozenset((copy, name)), (None, None)))
            found[condition].append(relations.get(frozenset((copy, name)), "by another") if together else "missed")
    rows = {
        condition: {
            "found": sum(f != "missed" for f in labels), "of": len(labels), "labels": dict(collections.Counter(labels)),
            "lowest score and agreement": [min((s[i] for s in scores[condition] if s[i] is not None), default=None) for i in (0, 1)],
            "label right": sum(f in EXPECTED.get(condition.split(" ")[0].strip(","), {"transcode"}) for f in labels),
        }
        for condition, labels in found.items()
    }  # fmt: skip
    strangers = [p for p in pairs if names[p["first"]] != names[p["second"]]]
    shares = [p for p in report["shares"] if names[p["first"]] != names[p["second"]]]
    print(json.dumps({
        "tracks": len(known), "pairs of different originals": different(names, unread), "conditions": rows,
        "different originals, as duplicates": strangers, "different originals, sharing": shares,
        "scan_failed": got["scan"]["failed"], "duplicates_wall_s": got["duplicates_wall_s"],
    }, indent=1))  # fmt: skip
    sys.stdout.flush()


if __name__ == "__main__":
    main()
