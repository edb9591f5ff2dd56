"""Turns a folder of music into work copies that every program reads alike: 32-bit float WAV, stereo, 44.1 or 48 kHz.

    python benches/peers/corpus.py --music DIR [--work DIR] [--seconds 30] [--limit N]

The copies and `index.json` (loudness and true peak of each, by judge.py) lie under the work folder, outside the repository.
Music is never committed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pathlib
import subprocess

from common import WORK, Failed, ffmpeg, read, run, save_json
from judge import lufs, true_peak

SUFFIXES = {".ogg", ".flac", ".wav", ".mp3", ".m4a", ".opus", ".aiff", ".aif"}


def probe(path: pathlib.Path) -> tuple[float, int, int] | None:
    """Seconds, rate and channels of the first audio stream; None when there is none."""
    got = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", "stream=sample_rate,channels:format=duration",
         "-of", "json", str(path)],
        capture_output=True, text=True,
    )  # fmt: skip
    try:
        said = json.loads(got.stdout)
        stream = said["streams"][0]
        return float(said["format"]["duration"]), int(stream["sample_rate"]), int(stream["channels"])
    except (KeyError, IndexError, ValueError):
        return None


def build(music: pathlib.Path, work: pathlib.Path, seconds: float, limit: int | None) -> list[dict]:
    """Decodes what is long enough and not there yet; gives the index."""
    folder = work / "corpus"
    folder.mkdir(parents=True, exist_ok=True)
    index_path = work / "index.json"
    known = {e["name"]: e for e in json.loads(index_path.read_text())} if index_path.exists() else {}
    seen: set[str] = set()
    index: list[dict] = []
    for path in sorted(p for p in music.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file() and not p.is_symlink()):
        if limit is not None and len(index) >= limit:
            break
        if path.stat().st_size < 100_000:  # effects, not tracks
            continue
        name = path.relative_to(music).with_suffix("").as_posix().replace("/", "-")
        name = "-".join(name.split("-")[-2:]).replace(" ", "_")
        if name in seen:
            continue
        copy = folder / f"{name}.wav"
        if name in known and copy.exists():
            seen.add(name)
            index.append(known[name])
            continue
        what = probe(path)
        if what is None or what[0] < seconds or what[2] > 2:
            continue
        rate = what[1] if what[1] in (44100, 48000) else 48000
        try:
            run([*ffmpeg(), "-i", path, "-map", "0:a:0", "-map_metadata", "-1", "-ac", "2", "-ar", rate, "-c:a", "pcm_f32le", copy])
        except Failed as error:
            print(f"skipped {name}: {str(error)[-200:]}")
            continue
        audio, rate = read(copy)
        digest = hashlib.sha256(audio.tobytes()).hexdigest()
        if any(e.get("sha256") == digest for e in index):
            copy.unlink()
            continue
        entry = {
            "name": name, "rate": rate, "seconds": len(audio) / rate, "source_rate": what[1], "source_channels": what[2],
            "lufs": lufs(audio, rate), "true_peak_dbtp": true_peak(audio), "sha256": digest,
        }  # fmt: skip
        if entry["lufs"] < -60:
            continue
        print(f"{name:40s} {entry['seconds']:6.1f} s  {rate} Hz  {entry['lufs']:7.2f} LUFS  {entry['true_peak_dbtp']:+6.2f} dBTP", flush=True)
        seen.add(name)
        index.append(entry)
        save_json(index_path, index)
    save_json(index_path, index)
    return index


def load(work: pathlib.Path) -> list[dict]:
    """The index, each entry with the `path` of its copy; quietest last."""
    path = work / "index.json"
    if not path.exists():
        raise SystemExit(f"no corpus in {work}: run corpus.py --music DIR first")
    index = json.loads(path.read_text())
    for entry in index:
        entry["path"] = str(work / "corpus" / f"{entry['name']}.wav")
    return sorted(index, key=lambda e: -e["lufs"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--music", required=True, type=pathlib.Path, help="a folder of music, searched deeply")
    parser.add_argument("--work", type=pathlib.Path, default=WORK, help=f"where the copies go (default {WORK})")
    parser.add_argument("--seconds", type=float, default=30.0, help="leave out what is shorter (default 30)")
    parser.add_argument("--limit", type=int, help="stop after so many tracks")
    options = parser.parse_args()
    index = build(options.music, options.work, options.seconds, options.limit)
    print(f"{len(index)} tracks, {sum(e['seconds'] for e in index) / 60:.0f} minutes, in {options.work}")


if __name__ == "__main__":
    main()
