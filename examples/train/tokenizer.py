"""The text tokenizer: a Unigram model (T. Kudo, "Subword regularization", 2018) learnt from the grammar's own captions.

Digits are split, so that "137 bpm" is read as 1, 3, 7; unknown letters fall back to bytes; text is lower-cased.

    python tokenizer.py OUT/tokenizer.json [VOCABULARY]
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import captions
import numpy as np
from music import draw
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

PAD, EOS, UNKNOWN = 0, 1, 2


def corpus(count: int):
    for seed in range(count):
        a = draw(seed, "any")
        rng = np.random.default_rng((seed, 9))
        yield captions.caption(a, rng, "train" if seed % 4 else "test")
    yield from (captions.number_words(n) for n in range(40, 200))
    # plain words people use, so that they do not fall apart into letters
    common = ("music song track tune melody beat rhythm loop play make create compose generate me some with and the a an of for in on to no "
              "not without very more less like style sound sounds feel mood relaxing calm peaceful dreamy epic heavy light soft loud quiet "
              "gentle aggressive romantic mysterious tense scary funny modern vintage old new electronic acoustic instrumental vocal guitar "
              "violin cello trumpet clarinet synth synthesizer keyboard drum drums bass kick snare hat cymbal percussion pop hip hop trap "
              "metal punk blues country reggae latin disco trance dubstep soul gospel waltz march dance club night morning summer winter "
              "rain ocean forest city space game film movie background focus study sleep party workout love dark bright")  # fmt: skip
    for _ in range(20):
        yield from common.split()


def main() -> None:
    out, size = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1024
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(), pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation()]
    )
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789#-,.;:/!?'\u2581")
    trainer = trainers.UnigramTrainer(
        vocab_size=500, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", initial_alphabet=letters
    )
    texts = list(corpus(30_000))
    tokenizer.train_from_iterator(texts, trainer)
    data = json.loads(tokenizer.to_str())
    # the trainer prefers fragments on so small a language: whole words come first, its fragments serve what is unknown
    count: Counter[str] = Counter()
    for text in texts:
        normal = tokenizer.normalizer.normalize_str(text)
        count.update(word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal))
    total = sum(count.values())
    pieces = {piece: score - 8.0 for piece, score in data["model"]["vocab"]}
    pieces.update({letter: -18.0 for letter in letters if letter not in pieces})
    room = size - 256 - len(pieces)
    words = [w for w, n in count.most_common() if n >= 3 and len(w) > 1][:room]
    pieces.update({word: float(np.log(count[word] / total)) for word in words})
    pieces.update({f"<0x{i:02X}>": -20.0 for i in range(256)})
    data["model"].update(vocab=[[p, s] for p, s in pieces.items()], unk_id=UNKNOWN, byte_fallback=True)
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", EOS)])
    out.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(out))
    print(tokenizer.get_vocab_size(), "pieces")
    for text in ("slow ambient in D minor with warm pad and piano, 70 bpm", "137bpm techno F# minor, no drums", "żółw 🎵", ""):
        print(text, "→", tokenizer.encode(text).tokens)


if __name__ == "__main__":
    main()
