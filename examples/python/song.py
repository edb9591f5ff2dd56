"""From words to a mastered track:  python examples/python/song.py "fast techno" song.wav [SECONDS] [SEED] [TARGET].

The music comes from the default model, which is part of the package; the report lies beside it, as JSON and as a page.
"""

import sys
import time
from pathlib import Path

import sonicforge as sf

PROMPT = "slow ambient in D minor with warm pad and piano, 70 bpm"


def main(
    prompt: str = PROMPT, output: str = "song.wav", seconds: str = "10", seed: str = "1", target: str = "spotify"
) -> None:
    out = Path(output)
    out.parent.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    model = sf.MusicGen.load()
    loaded = time.perf_counter()
    made = model.generate(prompt, seconds=float(seconds), seed=int(seed))
    took = time.perf_counter() - loaded
    print(f"{prompt!r}: loaded in {loaded - begun:.2f} s, {made.seconds:.1f} s of music in {took:.2f} s")
    # The small model speaks 16 kHz mono; players expect more.
    raw = out.with_name(f"{out.stem}-raw.flac")
    made.resample(48_000).to_stereo().write(raw)
    report = sf.master_file(raw, out, target=target)
    out.with_suffix(".json").write_text(report.to_json(), encoding="utf-8")
    out.with_suffix(".html").write_text(report.html(), encoding="utf-8")
    print(report.summary())
    print(f"written: {raw}, {out}, {out.with_suffix('.json')}, {out.with_suffix('.html')}")


if __name__ == "__main__":
    main(*sys.argv[1:])
