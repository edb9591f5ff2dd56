"""Which track of a folder is this?  python examples/python/identify.py MUSIC EXCERPT [INDEX] [PICTURE.svg].

MUSIC is a folder of sound files; what is remembered of them is kept in the folder INDEX ("index" unless given), so that the next
time only new files are heard. EXCERPT is a sound file of some seconds, recorded from wherever.
"""

import sys

import sonicforge as sf


def main(music: str, excerpt: str, place: str = "index", picture: str = "") -> None:
    with sf.Index.open(place) as index:
        report = index.scan(music, progress=True)
        print(
            f"{len(index)} tracks; {len(report.added)} new, {len(report.removed)} gone, {len(report.failed)} not readable"
        )
        audio = sf.AudioBuffer.read(excerpt)
        found = index.query(audio, limit=3)
        for match in found:
            print(
                f"{match.id}: score {match.score:.1f}, {match.query_start_s:.1f} to {match.query_end_s:.1f} s of the excerpt are the"
                f" track from {match.track_start_s:.1f} s on, pitch x {match.pitch_factor:.3f}, tempo x {match.tempo_factor:.3f}"
            )
        if not found:
            print("none of them")
        elif picture:
            with open(picture, "w", encoding="utf-8") as file:
                file.write(index.match_svg(audio, found[0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
