"""Masters a file for a target:  python examples/python/master.py song.flac [out.wav] [spotify].

Leaves the report beside it, as JSON and as a page. Without a file (or with "-") it masters a short piece of its own.
"""

import sys
from pathlib import Path

import sonicforge as sf


def main(source: str = "-", output: str = "mastered.wav", target: str = "spotify") -> None:
    out = Path(output)
    out.parent.mkdir(parents=True, exist_ok=True)
    if source == "-":
        source = str(out.with_name("piece.flac"))
        sf.testing.signal("music", seed=1, seconds=20).write(source)
    report = sf.master_file(source, out, target=target, progress=True)
    out.with_suffix(".json").write_text(report.to_json(), encoding="utf-8")
    out.with_suffix(".html").write_text(report.html(), encoding="utf-8")
    print(report.summary())
    print(f"written: {out}, {out.with_suffix('.json')}, {out.with_suffix('.html')}")


if __name__ == "__main__":
    main(*sys.argv[1:])
