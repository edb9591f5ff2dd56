"""Which files of a folder are one work?  python examples/python/dedupe.py MUSIC [INDEX] [REPORT.json].

MUSIC is a folder of sound files; what is remembered of them is kept in the folder INDEX ("index" unless given).
"""

import sys
from pathlib import Path

import sonicforge as sf


def main(music: str, place: str = "index", report: str = "") -> None:
    with sf.Index.open(place) as index:
        for file, why in index.scan(music, progress=True).failed:
            print(f"not readable: {file}: {why}", file=sys.stderr)
        found = index.duplicates(progress=True)
    print(found.to_table())
    if report:
        Path(report).write_text(found.to_json(), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
