"""Renders pieces ahead of the training, on many cores: sound, score, captions already in tokens. One shard of 60 pieces a file.

    python pieces.py BANK.npz T/tokenizer.json OUT --shards 400 --workers 8 [--ahead 50]

A shard holds audio (60, SAMPLES) int16 at full scale 32768; roll (60, FRAMES, 4), the bits of codec.roll packed; texts
(60, CAPTIONS, TEXT_TOKENS) uint16, 0 where a caption ends; starts (60), where in the piece each begins, in frames; and the
attributes as JSON. Shards that are there are kept. With --ahead it waits while so many lie unused, as `lm.py tokens --remove` and
the codec's training take them away. Shard 0 is never trained on: it tells how a model does on pieces it does not know.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
from captions import caption
from codec import HOP, RATE_HZ, roll
from music import Bank, draw, render
from tokenizers import Tokenizer

SONG_S = 10.4
SHARD, CAPTIONS, TEXT_TOKENS = 60, 16, 64


def piece(seed: int, bank: Bank, tokenizer: Tokenizer) -> dict:
    """Four of five begin with the piece, the others within its first twelve bars."""
    a, bar, played = draw(seed), 0.0, []
    rng = np.random.default_rng((seed, 8))
    if rng.random() < 0.2:
        bar = float(rng.uniform(1, 12))
    audio = render(a, bank, SONG_S, bar, played)
    texts = np.zeros((CAPTIONS, TEXT_TOKENS), np.uint16)
    for row in texts:
        ids = tokenizer.encode(caption(a, rng)).ids[:TEXT_TOKENS]
        row[: len(ids)] = ids
    return {
        "audio": (audio * 32767).round().astype(np.int16), "roll": np.packbits(roll(played, 0, len(audio) // HOP), axis=1), "texts": texts,
        "starts": round(bar * 240 / a.bpm * RATE_HZ / HOP), "attributes": asdict(a),
    }  # fmt: skip


def work(args, part: int) -> None:
    bank, tokenizer, out = Bank(args.bank), Tokenizer.from_file(args.tokenizer), Path(args.out)
    for shard in range(part, args.shards, args.workers):
        path = out / f"{shard:05d}.npz"
        if path.exists() or (out / f"{shard:05d}.used").exists():
            continue
        while args.ahead and sum(1 for _ in out.glob("*.npz")) >= args.ahead:
            time.sleep(0.2)
        rows = [piece(40_000_000 + shard * SHARD + i, bank, tokenizer) for i in range(SHARD)]
        columns = {k: np.stack([r[k] for r in rows]) for k in ("audio", "roll", "texts", "starts")}
        with open(out / f"part{part}", "wb") as file:
            np.savez(file, attributes=json.dumps([r["attributes"] for r in rows]), **columns)
        os.replace(out / f"part{part}", path)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("bank", "tokenizer", "out"):
        parser.add_argument(name)
    parser.add_argument("--shards", type=int, default=400)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--ahead", type=int, default=0)
    args = parser.parse_args()
    Path(args.out).mkdir(parents=True, exist_ok=True)
    processes = [multiprocessing.Process(target=work, args=(args, part)) for part in range(args.workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    raise SystemExit(max(abs(p.exitcode or 0) for p in processes))


if __name__ == "__main__":
    main()
