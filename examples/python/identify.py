"""Which track of a folder is this?  python examples/python/identify.py MUSIC EXCERPT [INDEX] [PICTURE.svg].

MUSIC is a folder of sound files; what is remembered of them is kept in the folder INDEX ("index" unless given), so that
the next time only new files are heard. EXCERPT is a sound file of some seconds, recorded from wherever.
"""

import sys
from pathlib import Path

import sonicforge as sf


def main(music: str, excerpt: str, place: str = "index", picture: str = "") -> None:
    with sf.Index.open(place) as index:
        report = index.scan(music, progress=True)
        new, gone, failed = len(report.added), len(report.removed), len(report.failed)
        print(f"{len(index)} tracks; {new} new, {gone} gone, {failed} not readable")
        audio = sf.AudioBuffer.read(excerpt)
        found = index.query(audio, limit=3)
        for m in found:
            print(f"{m.id}: score {m.score:.1f}", end=", ")
            print(f"{m.query_start_s:.1f} to {m.query_end_s:.1f} s of the excerpt are the track", end=" ")
            print(f"from {m.track_start_s:.1f} s on, pitch x {m.pitch_factor:.3f}, tempo x {m.tempo_factor:.3f}")
        if not found:
            print("none of them")
        elif picture:
            Path(picture).write_text(index.match_svg(audio, found[0]), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
