"""Simulated listeners improve four prompts:  python examples/python/optimize.py [400] [optimize.svg] [taste.db].

Rounds, where the picture goes, and the store ("memory:" by default).
"""

import random
import sys
from pathlib import Path

import sonicforge as sf

SPACE = sf.Space.of(
    {
        "genre": ["lo-fi hip hop", "jazz", "ambient", "deep house"],
        "mood": ["calm", "melancholic", "hopeful", "dark"],
        "instruments": ["piano and vinyl noise", "guitar", "warm pads", "brushed drums"],
        "tempo": ["70 bpm", "85 bpm", "100 bpm", "120 bpm"],
    }
)


def pleases(slots: dict[str, str]) -> float:
    """The probability that a listener likes a prompt; nobody but the listeners knows it."""
    liked = {"lo-fi hip hop": 0.25, "jazz": 0.15, "melancholic": 0.15, "calm": 0.1, "piano and vinyl noise": 0.15}
    return 0.25 + sum(liked.get(value, 0.0) for value in slots.values())


def main(rounds: str = "400", picture: str = "optimize.svg", store: str = "memory:") -> None:
    listeners = random.Random(1)
    optimizer = sf.PromptOptimizer(SPACE, store=store, seed=1)
    concept = "rainy night"
    optimizer.start(concept)
    earned = 0
    for n in range(int(rounds)):
        suggestion = optimizer.suggest(concept, epoch=n // 20)
        variants = {variant.id: variant for variant in optimizer.variants(concept)}
        liked = listeners.random() < pleases(variants[suggestion.variant].slots)
        optimizer.reward(suggestion.token, liked)
        earned += liked
        if n % 100 == 99:
            evolved = optimizer.evolve(concept, below=0.02, at_least=10)
            for old, new in zip(evolved.retired, evolved.added, strict=False):
                print(f"after {n + 1}: {old.text!r} makes room for {new.text!r}")
    report = optimizer.report(concept)
    print(report.summary())
    print(f"{earned} of {rounds} were liked")
    Path(picture).write_text(report.svg(), encoding="utf-8")
    print(f"written: {picture}")


if __name__ == "__main__":
    main(*sys.argv[1:])
