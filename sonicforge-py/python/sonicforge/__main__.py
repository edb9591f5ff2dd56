"""The command line.

python -m sonicforge master in.flac out.wav --target spotify
python -m sonicforge analyze in.flac
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import sonicforge as sf


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; 0 when it worked, 1 when it did not, 2 when the command was wrong, 130 after Ctrl-C."""
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except sf.SonicForgeError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; nothing was written", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sonicforge", description="Masters and measures audio files.")
    parser.add_argument("--version", action="version", version=f"sonicforge {sf.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    master = commands.add_parser("master", help="bring a file to a loudness target")
    master.add_argument("input", help="WAV, AIFF, FLAC, MP3, Ogg, Opus, AAC or ALAC")
    master.add_argument("output", help=".wav or .flac")
    master.add_argument(
        "--target",
        default="spotify",
        help=f"{', '.join(target.name for target in sf.Target.all())}, or a loudness in LUFS (default: %(default)s)",
    )
    master.add_argument("--sample-format", choices=["int16", "int24", "float32"], default="int24")
    master.add_argument("--dither", choices=["none", "tpdf", "shaped"], default="tpdf")
    master.add_argument("--report", type=Path, metavar="FILE", help="write the report: .json, .svg or .html")
    master.add_argument("--quiet", action="store_true", help="no progress, no summary")
    master.set_defaults(run=_master)

    analyze = commands.add_parser("analyze", help="measure a file")
    analyze.add_argument("input", help="WAV, AIFF, FLAC, MP3, Ogg, Opus, AAC or ALAC")
    analyze.add_argument("--json", action="store_true", help="print everything as JSON")
    analyze.add_argument("--picture", type=Path, metavar="FILE", help="write an SVG")
    analyze.set_defaults(run=_analyze)

    commands.add_parser("versions", help="what to paste into a bug report").set_defaults(run=_versions)
    return parser


def _master(args: argparse.Namespace) -> int:
    report = sf.master_file(
        args.input,
        args.output,
        target=args.target,
        sample_format=args.sample_format,
        dither=args.dither,
        progress=not args.quiet,
    )
    if args.report is not None:
        write = {".svg": report.svg, ".html": report.html}.get(args.report.suffix.lower(), report.to_json)
        args.report.write_text(write(), encoding="utf-8")
    if not args.quiet:
        print(report.summary(), end="")
    return 0


def _analyze(args: argparse.Namespace) -> int:
    with sf.Reader(args.input) as reader:
        analyzer = sf.Analyzer(sample_rate=reader.info.sample_rate, channels=reader.info.channels)
        for block in reader:
            analyzer.push(block)
    analysis = analyzer.finish()
    if args.picture is not None:
        args.picture.write_text(analysis.svg(), encoding="utf-8")
    fields = analysis.to_dict()
    if args.json:
        print(json.dumps(fields))
        return 0
    for name, value in fields.items():
        if isinstance(value, (int, float)) or value is None:
            print(f"{name:22} {'-' if value is None else format(value, '.2f') if isinstance(value, float) else value}")
    return 0


def _versions(_: argparse.Namespace) -> int:
    sf.show_versions()
    return 0


if __name__ == "__main__":
    sys.exit(main())
