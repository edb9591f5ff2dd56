"""Makes music from text:  python examples/python/generate.py musicgen-small "a slow warm piano" out.wav 10 7.

The first word is a folder with a checkpoint, or a GGUF file; the last two, if given, are seconds and the seed.
The music is written while it is made.
"""

import sys

import sonicforge as sf


def main(source: str, prompt: str, output: str = "music.wav", seconds: str = "10", seed: str = "0") -> None:
    model = sf.MusicGen.load(source)
    info = model.info
    print(f"{info.family}, {info.precision} on {info.device}; licence of the weights: {info.licence}")
    with (
        model.stream(prompt, seconds=float(seconds), seed=int(seed), progress=True) as stream,
        sf.Writer(output, sample_rate=info.sample_rate, channels=info.channels) as writer,
    ):
        for chunk in stream:
            writer.write(chunk.samples)
    print(f"written: {output}")


if __name__ == "__main__":
    main(*sys.argv[1:])
