"""Writes docs/measurements.md from what the other scripts left in the work folder.

    python benches/peers/summary.py [--work DIR] [--out docs/measurements.md]
"""

from __future__ import annotations

import argparse
import datetime
import json
import pathlib

import numpy as np

from common import REPOSITORY, WORK, table
from targets import report as targets_report


def load(path: pathlib.Path):
    """A result, or None when that script has not been run."""
    return json.loads(path.read_text()) if path.exists() else None


def f(value: float, digits: int = 2, sign: bool = False) -> str:
    """A number for a table, with a true minus."""
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("-", "−")


def block(title: str, command: str, text: str, body: str) -> str:
    """A section."""
    return f"## {title}\n\n```sh\n{command}\n```\n\n{text.strip()}\n\n{body.strip()}\n\n"


def limiter(rows: list[dict]) -> str:
    """Means per limiter and push, then every track."""
    names = list(dict.fromkeys(r["who"] for r in rows))
    pushes = sorted({r["push_db"] for r in rows})
    tracks = list(dict.fromkeys(r["track"] for r in rows))
    lines = []
    for who in names:
        mine = [r for r in rows if r["who"] == who]
        line = [who, f(max(r["over_at_ceiling_db"] for r in mine), 2, True)]
        line += [f"{f(np.mean([r['lufs'] for r in mine if r['push_db'] == p]))} / {f(np.mean([r['residual_db'] for r in mine if r['push_db'] == p]), 1)}" for p in pushes]
        line += [f(np.mean([r["lufs"] for r in mine])), f(np.mean([r["residual_db"] for r in mine]), 1), f(np.mean([r["residual_fast_db"] for r in mine]), 1)]
        lines.append(line)
    text = table(
        ["limiter", "worst over at −1 dBTP, dB", *(f"+{p:g} dB: LUFS / residual dB" for p in pushes), "mean LUFS", "mean residual, dB", "without gain riding, dB"], lines
    )  # fmt: skip
    text += "\nOver the ceiling of −1 dBTP as set, dB (before it is lowered):\n\n"
    short = {who: who for who in names}
    text += table(
        ["track", *names],
        [[t, *(f(next((r["over_at_ceiling_db"] for r in rows if r["track"] == t and r["who"] == who), float("nan")), 3, True) for who in short)] for t in tracks],
    )
    text += "\nLoudness and residual at the ceiling that the judge passes, LUFS / dB:\n\n"

    def both(t: str, who: str) -> str:
        row = next((r for r in rows if r["track"] == t and r["who"] == who), None)
        return f"{f(row['lufs'])} / {f(row['residual_db'], 1)}" if row else "–"

    text += table(["track", *names], [[t, *(both(t, who) for who in names)] for t in tracks])
    return text


COLUMNS = {
    "sum": ("Sum of four bands, 20 Hz – 20 kHz", "Crossovers 120 / 1200 / 6000 Hz, no compression, an impulse. mcompand has no all-pass compensation.",
            {"lowest_db": ("lowest, dB", 4), "highest_db": ("highest, dB", 4), "worst_db": ("off flat by, dB", 4)}),
    "alias": ("Alias of exciters", "A tone at −1 dBFS, 44.1 kHz; everything below 20 kHz that is neither the tone nor its harmonics, dB re the tone. "
              "Ours at its strongest setting.", None),
    "curve": ("Static curve of compressors", "Threshold −20 dBFS, 4:1, hard knee, 1 kHz; output minus the drawn curve, dB, for inputs of −40 … 0 dBFS.", None),
    "thd": ("Distortion of compressors", "100 Hz at −8 dBFS through the same settings (9 dB of reduction).", {"thd_db": ("THD, dB", 1), "thd_percent": ("THD, %", 5)}),
    "deesser": ("De-essers", "250 Hz with bursts of 7 kHz. The burst should lose 4 dB or more; the 250 Hz tone nothing.",
                {"burst_db": ("burst, dB", 2), "tone_in_bursts_db": ("250 Hz beside bursts, dB", 3), "tone_alone_db": ("250 Hz alone, dB", 3),
                 "third_harmonic_db": ("its third harmonic, dB", 0), "tone_alone_bit_exact": ("alone: bit exact", None)}),
    "widener": ("Wideners: the mono fold-down", "Real music; change of L + R in dB re L + R.",
                {"mono_error_db": ("change of the mono sum, dB", 1), "side_gain_db": ("gain of the side, dB", 2)}),
    "dither": ("16 bit", "A 1 kHz tone of −100 dBFS; noise re a full-scale sine.",
               {"noise_db": ("noise, dB", 2), "noise_below_4k_db": ("below 4 kHz, dB", 1), "harmonic_over_floor_db": ("highest harmonic over the floor, dB", 1),
                "tone_level_error_db": ("tone off by, dB", 2)}),
    "meter": ("Meters", "16 tracks and 28 sines of 1 to 20 kHz at any phase, 44.1 kHz; reading minus the judge. ffmpeg prints tenths.",
              {"loudness_error_lu": ("loudness, worst, LU", 3), "true_peak_low_db": ("true peak of tracks, lowest, dB", 3),
               "true_peak_high_db": ("highest, dB", 3), "sines_to_20k_low_db": ("sines, lowest, dB", 3), "sines_to_20k_high_db": ("highest, dB", 3)}),
    "match": ("Matching a reference", "The target made to sound like the reference. Shape: RMS difference of the 1/3-octave spectra, 40 Hz – 16 kHz.",
              {"target": ("target", None), "loudness_error_lu": ("loudness off by, LU", 2), "shape_error_db": ("shape off by, dB", 2),
               "true_peak_dbtp": ("true peak, dBTP", 2), "cpu_s": ("CPU s", 1), "peak_mib": ("peak MiB", 0)}),
}  # fmt: skip


def quality(name: str, rows: list[dict]) -> str:
    """One trial."""
    columns = COLUMNS[name][2]
    if columns is None:
        keys = [k for k in rows[0] if k != "who" and not k.endswith("_thd")]
        digits = 0 if name == "alias" else 3
        heads = {k: (k.replace("worst_db", "worst").replace("-", "−") + (" Hz" if name == "alias" and k.isdigit() else ""), digits) for k in keys}
        columns = heads

    def cell(value, digits) -> str:
        if value is None or isinstance(value, (str, bool)):
            return {True: "yes", False: "no", None: "–"}.get(value, value)
        return "–" if value != value else f(value, digits)

    return table(["", *(head for head, _ in columns.values())], [[r["who"], *(cell(r.get(k), d) for k, (_, d) in columns.items())] for r in rows])


GROUPS = {
    "chain-loud": "The whole job on a loud track: to −14 LUFS, −1 dBTP, from file to file",
    "chain-quiet": "The same on a quiet track",
    "chain-plain": "The chain without the search for a loudness",
    "multiband": "Multiband compressor, four bands",
    "limiter": "True-peak limiter, the track pushed 6 dB over",
    "meter": "Reading a track fully",
    "equalizer": "Equalizer, five bands", "de-esser": "De-esser", "exciter": "Exciter", "widener": "Widener", "glue": "Compressor",
}  # fmt: skip


def speed(said: dict) -> str:
    """All groups."""
    text = ""
    for group in dict.fromkeys(r["group"] for r in said["rows"]):
        text += f"### {GROUPS.get(group, group)}\n\n" + table(
            ["", "CPU s", "× real time", "peak MiB", "times faster than the first"],
            [[r["who"], f(r["cpu_s"], 3 if r["cpu_s"] < 1 else 2), f"{r['rtf']:.0f}", f"{r['peak_mib']:.0f}", f(r["ratio"], 2)] for r in said["rows"] if r["group"] == group],
        ) + "\n"  # fmt: skip
        landed = said["notes"].get(group, {}) if group.startswith("chain") else {}
        for who, note in landed.items():
            if "lufs" in note:
                mode = f"; loudnorm went {note['mode']}" if "mode" in note else ""
                text += f"{'ffmpeg' if who == 'ffmpeg' else 'SonicForge'} landed at {f(note['lufs'])} LUFS and {f(note['true_peak_dbtp'], 2, True)} dBTP{mode}. "
        text += "\n\n" if landed else ""
    if said.get("denormals"):
        text += "### Denormals: silence after a burst against noise\n\n" + table(
            ["", "60 s of noise, CPU s", "a burst, then silence, CPU s", "ratio"],
            [[r["kernel"], f(r["noise_s"], 3), f(r["silence_s"], 3), f(r["ratio"], 2)] for r in said["denormals"]],
        )
    if said.get("memory"):
        text += "\n### Memory, file to file\n\n" + table(
            ["minutes", "peak MiB", "CPU s"], [[f"{r['minutes']:.1f}", f"{r['peak_mib']:.0f}", f(r["cpu_s"], 1)] for r in said["memory"]]
        )
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=WORK)
    parser.add_argument("--out", type=pathlib.Path, default=REPOSITORY / "docs" / "measurements.md")
    options = parser.parse_args()
    work = options.work
    said_speed, said_limiter = load(work / "speed-results.json"), load(work / "limiter.json")
    said_quality, said_targets, index = load(work / "quality.json") or {}, load(work / "targets.json"), load(work / "index.json") or []
    versions = (said_speed or {"notes": {"versions": {}}})["notes"]["versions"]
    text = f"""# Measurements

Written by `benches/peers/summary.py` on {datetime.date.today():%Y-%m-%d}; [benches/peers](../benches/peers/README.md) says how each number is taken, and
`make bench-peers MUSIC=folder` takes them all again. Every table has peers and SonicForge from one run on one machine.
Trust the ratios; the seconds belong to the machine (two shared cores, {(said_speed or {'notes': {'machine': '–'}})['notes']['machine']}).

Music: {len(index)} tracks, {sum(e['seconds'] for e in index) / 60:.0f} minutes, of five Debian packages. Peers: {'; '.join(f'{k} ({v})' if k not in v.lower() else v for k, v in versions.items())},
matchering 2.0.6, pyloudnorm 0.2.0, crate ebur128 0.1.11, x42 dpl (LV2).
The commands are run from the root of the repository, with `.venv-peers/bin/python` as `python`.

"""
    if said_targets:
        text += block(
            "The promise: loudness within ±0.1 LU and true peak at or under −1 dBTP", "python benches/peers/targets.py --targets=-14,-16",
            "Every track of the corpus, default budget, 24-bit WAV, judged by the independent judge on the file.", targets_report(said_targets),
        )  # fmt: skip
    if said_limiter:
        text += block(
            "Limiters on loud music", "python benches/peers/limiter.py --tracks 6",
            "The loudest minute of the loudest tracks, true peak 3, 6 and 10 dB over −1 dBTP. After the first reading each ceiling is lowered until the judge\n"
            "passes the output; loudness (higher is better) and residual (lower is cleaner) are compared there.", limiter(said_limiter),
        )  # fmt: skip
    for name, (title, words, _) in COLUMNS.items():
        if said_quality.get(name):
            text += block(title, f"python benches/peers/quality.py --only {name}", words, quality(name, said_quality[name]))
    if said_speed:
        text += block("Speed and memory", "python benches/peers/speed.py", "200 seconds of stereo at 48 kHz, CPU time of one thread, medians.", speed(said_speed))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(text.rstrip() + "\n")
    print(f"wrote {options.out}")


if __name__ == "__main__":
    main()
