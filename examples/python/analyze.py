"""Says what can be measured of a file:  python examples/python/analyze.py song.flac.

Without a file it listens to a short piece of its own.
"""

import sys

import sonicforge as sf


def say(name: str, value: float | None, unit: str) -> None:
    print(f"{name:16} {'–' if value is None else f'{value:.2f} {unit}'}")


def main(source: str | None = None) -> None:
    audio = sf.AudioBuffer.read(source) if source else sf.testing.signal("music", seed=1, seconds=10)
    analysis = sf.analyze(audio)
    print(audio)
    say("integrated", analysis.integrated_lufs, "LUFS")
    say("short-term max", analysis.short_term_max_lufs, "LUFS")
    say("loudness range", analysis.loudness_range_lu, "LU")
    say("true peak", analysis.true_peak_dbtp, "dBTP")
    say("peak to loudness", analysis.plr_lu, "LU")
    say("correlation", analysis.correlation, "")


if __name__ == "__main__":
    main(*sys.argv[1:])
