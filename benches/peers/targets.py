"""The promise: integrated loudness within ±0.1 LU of the target and true peak at or under the ceiling, or a refusal with its reason.

Every track of the corpus is mastered to each target with the default budget of gain reduction. The file that was written is
judged by judge.py, not by us. For each refusal the same track is mastered again with a budget that is not a limit: that run
has to reach the loudness, and its gain reduction has to be more than the default budget, or the refusal was not deserved.

    python benches/peers/targets.py [--work DIR] [--targets -14,-16] [--ceiling -1] [--limit N] [--out targets]
"""

from __future__ import annotations

import argparse
import json
import pathlib
import tempfile

from common import WORK, Failed, ours, read, run, save_json, table
from corpus import load
from judge import lufs, true_peak

TOLERANCE_LU = 0.1
# The judge is good to 0.001 dB.
PASS_DB = 0.001


def master(program: pathlib.Path, source: str, target: float, ceiling: float, budget: float | None) -> dict:
    """Masters to a 24-bit WAV, judges it, and gives the judge's numbers beside the report's."""
    with tempfile.TemporaryDirectory() as folder:
        out, report = f"{folder}/out.wav", f"{folder}/report.json"
        command = [program, "master", source, out, "--target", target, "--ceiling", ceiling, "--report", report]
        got = run(command + (["--budget", budget] if budget is not None else []))
        said = json.loads(pathlib.Path(report).read_text())
        audio, rate = read(out)
    return {
        "lufs": lufs(audio, rate), "true_peak_dbtp": true_peak(audio), "reported_lufs": said["after"]["integrated_lufs"],
        "reported_true_peak_dbtp": said["after"]["true_peak_dbtp"], "loudness_reached": said["loudness_reached"],
        "ceiling_met": said["ceiling_met"], "refusal": said["refusal"], "max_reduction_db": said["limiter"]["max_db"],
        "drive_db": said["drive_db"], "needed_db": said["needed_gain_reduction_db"], "passes": said.get("passes"), "cpu_s": got["cpu_s"], "peak_mib": got["peak_mib"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=WORK)
    parser.add_argument("--targets", default="-14,-16", help="LUFS, comma separated (write --targets=-14,-16)")
    parser.add_argument("--ceiling", type=float, default=-1.0)
    parser.add_argument("--limit", type=int, help="only so many tracks, spread over the loudness order")
    parser.add_argument("--min-seconds", type=float, default=30.0)
    parser.add_argument("--max-seconds", type=float, default=1e9)
    parser.add_argument("--out", type=pathlib.Path, help="writes OUT.json and OUT.md (default WORK/targets)")
    options = parser.parse_args()
    out = options.out or options.work / "targets"
    program = ours()
    if program is None:
        raise SystemExit("build our program first: cargo build --release -p sonicforge-benches --bin peers")
    tracks = [e for e in load(options.work) if options.min_seconds <= e["seconds"] <= options.max_seconds]
    if options.limit and options.limit < len(tracks):
        tracks = [tracks[i * len(tracks) // options.limit] for i in range(options.limit)]
    rows: list[dict] = []
    for entry in tracks:
        for target in (float(t) for t in options.targets.split(",")):
            try:
                row = master(program, entry["path"], target, options.ceiling, None)
            except Failed as error:
                row = {"failed": str(error)[-400:]}
            row |= {"track": entry["name"], "target": target, "input_lufs": entry["lufs"], "input_true_peak_dbtp": entry["true_peak_dbtp"]}
            if "failed" not in row:
                row["loudness_ok"] = abs(row["lufs"] - target) <= TOLERANCE_LU
                row["peak_ok"] = row["true_peak_dbtp"] <= options.ceiling + PASS_DB
                row["honest"] = (row["refusal"] is None) == (row["loudness_ok"] and row["peak_ok"])
                if row["refusal"] is not None:
                    row["proof"] = master(program, entry["path"], target, options.ceiling, 40.0)
            rows.append(row)
            print(line(row), flush=True)
            save_json(out.with_suffix(".json"), rows)
    text = report(rows)
    out.with_suffix(".md").write_text(text)
    print(text)


def line(row: dict) -> str:
    """One row for a person."""
    start = f"{row['track']:38s} {row['input_lufs']:7.2f} -> {row['target']:.0f}: "
    if "failed" in row:
        return start + "FAILED " + row["failed"]
    mark = "both met" if row["loudness_ok"] and row["peak_ok"] else "REFUSED" if row["refusal"] else "MISSED"
    text = f"{start}{row['lufs']:7.3f} LUFS {row['true_peak_dbtp']:+.3f} dBTP, limiter {row['max_reduction_db']:.1f} dB, {mark}"
    if "proof" in row:
        text += f" ({row['refusal']}; proof: {row['proof']['lufs']:.3f} LUFS with {row['proof']['max_reduction_db']:.1f} dB)"
    return text


def report(rows: list[dict]) -> str:
    """Shares per target, then the exceptions."""
    text, done = "", [r for r in rows if "failed" not in r]
    head = ["target, LUFS", "tracks", "both met", "share", "refused", "missed in silence", "over the ceiling", "worst loudness error where met, LU",
            "highest true peak, dBTP", "failed"]  # fmt: skip
    lines = []
    for target in dict.fromkeys(r["target"] for r in rows):
        mine = [r for r in done if r["target"] == target]
        met = [r for r in mine if r["loudness_ok"] and r["peak_ok"]]
        if not mine:
            continue
        lines.append([
            f"{target:g}", len(mine), len(met), f"{100 * len(met) / len(mine):.1f} %", sum(r["refusal"] is not None for r in mine),
            sum(not r["honest"] for r in mine), sum(not r["peak_ok"] for r in mine),
            max((abs(r["lufs"] - target) for r in met), default=float("nan")), max(r["true_peak_dbtp"] for r in mine),
            sum("failed" in r for r in rows if r["target"] == target),
        ])  # fmt: skip
    text += table(head, lines)
    worst_reading = max((abs(r["lufs"] - r["reported_lufs"]) for r in done), default=0.0)
    worst_peak = max((r["true_peak_dbtp"] - r["reported_true_peak_dbtp"] for r in done), key=abs, default=0.0)
    text += f"\nReport against judge: loudness within {worst_reading:.4f} LU, true peak within {worst_peak:+.4f} dB.\n"
    refused = [r for r in done if r["refusal"] is not None]
    if refused:
        text += "\nRefusals, each with its proof (the same with a budget of 40 dB):\n\n" + table(
            ["track", "target", "input LUFS", "got LUFS", "limiter, dB", "reason given", "proof: LUFS", "proof: true peak", "proof: limiter, dB"],
            [[r["track"], f"{r['target']:g}", f"{r['input_lufs']:.2f}", f"{r['lufs']:.2f}", f"{r['max_reduction_db']:.1f}", r["refusal"],
              f"{r['proof']['lufs']:.2f}", f"{r['proof']['true_peak_dbtp']:.2f}", f"{r['proof']['max_reduction_db']:.1f}"] for r in refused],
        )  # fmt: skip
    odd = [r for r in rows if "failed" in r or not r["honest"]]
    if odd:
        text += "\nNot as promised:\n\n" + "\n".join("- " + line(r) for r in odd) + "\n"
    return text


if __name__ == "__main__":
    main()
