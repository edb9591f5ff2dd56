"""Writes the trained model as a Hugging Face folder: what MusicgenForConditionalGeneration.from_pretrained reads, and SonicForge.

Sources: the file names of transformers' save_pretrained; safetensors.

    python export.py --run LM --codec CODEC --tokenizer T/tokenizer.json --out FOLDER
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from lm import assemble, encode_texts
from tokenizers import Tokenizer
from transformers import MusicgenForConditionalGeneration


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("run", "codec", "tokenizer", "out"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    out, tokenizer = Path(args.out), Tokenizer.from_file(args.tokenizer)
    model = assemble(args.run, args.codec, tokenizer)
    model.save_pretrained(out)
    shutil.copyfile(args.tokenizer, out / "tokenizer.json")
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512}
    (out / "tokenizer_config.json").write_text(json.dumps(special, indent=1))
    feature = {"feature_extractor_type": "EncodecFeatureExtractor", "feature_size": 1, "sampling_rate": 16000, "padding_side": "left",
               "padding_value": 0.0, "return_attention_mask": True, "chunk_length_s": None, "overlap": None}  # fmt: skip
    (out / "preprocessor_config.json").write_text(json.dumps(feature, indent=1))
    (out / "README.md").write_text("---\nlicense: MIT OR Apache-2.0\n---\n\nTrained with SonicForge's examples/train.\n")
    # read back, and the same tokens must come out
    again = MusicgenForConditionalGeneration.from_pretrained(out).eval()
    tokens, mask = encode_texts(tokenizer, ["calm jazz, 100 bpm"])
    with torch.no_grad():
        first, second = (m.generate(input_ids=tokens, attention_mask=mask, do_sample=False, max_length=40) for m in (model, again))
    assert torch.equal(first, second)
    print(out, f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M weights")


if __name__ == "__main__":
    main()
