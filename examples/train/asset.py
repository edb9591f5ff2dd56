"""The shipped file: packs an exported folder into the data crates, unpacks them for transformers, and writes the golden cases.

Sources: GGUF version 3 (ggml's docs/gguf.md), read by the package gguf; names and shapes as sonicforge-core's quantize writes them.

    python asset.py pack MODEL_FOLDER             # Q8_0, compact, in two halves (needs the package sonicforge)
    python asset.py unpack OUT_FOLDER [--gguf F]  # the weights as they run, in f32: for transformers, or to train on from
    python asset.py golden                        # transformers' greedy codes of the shipped weights, for the tests
"""

from __future__ import annotations

import argparse
import json
import tempfile
import zlib
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
CRATE = ROOT / "sonicforge-core" / "default-model"
HALVES = (CRATE / "model.gguf.1", CRATE / "second" / "model.gguf.2")
MOST = 10 << 20  # what a crate may have, compressed
GOLDEN = ROOT / "sonicforge-core" / "tests" / "golden" / "generate"
PROMPTS = {
    "ambient": ("slow ambient in D minor with warm pad and piano, 70 bpm", 3.0),
    "techno": ("Fast techno, 140 BPM, A minor; with drums", 1.0),
    "none": (None, 1.0),
}


def pack(args) -> None:
    import sonicforge as sf

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        report = sf.quantize(args.folder, path, "q8_0", compact=True)
        data = path.read_bytes()
    print(report, len(data), "bytes")
    size = lambda part: len(zlib.compress(part, 9))  # noqa: E731
    low, high = 0, len(data)
    while high - low > 4096:  # where both halves are as large when compressed
        middle = (low + high) // 2
        low, high = (middle, high) if size(data[:middle]) < size(data[middle:]) else (low, middle)
    for path, half in zip(HALVES, (data[:low], data[low:]), strict=True):
        packed = size(half)
        assert packed <= MOST - 20_000, f"{path}: {packed} bytes compressed; expected at most {MOST} with what else a crate holds"
        path.write_bytes(half)
        print(path, len(half), "bytes,", packed, "compressed")


def weights(path: Path | None) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors in f32 under transformers' names, and the texts of the folder."""
    import gguf

    with tempfile.NamedTemporaryFile() as whole:
        whole.write(path.read_bytes() if path else b"".join(half.read_bytes() for half in HALVES))
        whole.flush()
        reader = gguf.GGUFReader(whole.name)
        tensors = {}
        for tensor in reader.tensors:
            values = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
            name = "text_encoder.encoder." + tensor.name[3:] if tensor.name.startswith("t5.") else tensor.name
            tensors[name] = values.reshape([int(n) for n in reversed(tensor.shape)])
        texts = {
            name: bytes(reader.fields[f"sonicforge.{key}"].parts[-1]).decode()
            for key, name in (("config", "config.json"), ("generation_config", "generation_config.json"), ("tokenizer", "tokenizer.json"))
        }
    return tensors, texts


def model(path: Path | None = None):
    """The shipped weights in transformers' classes."""
    import torch
    from lm import PAD
    from transformers import GenerationConfig, MusicgenConfig, MusicgenForConditionalGeneration

    tensors, texts = weights(path)
    built = MusicgenForConditionalGeneration(MusicgenConfig.from_dict(json.loads(texts["config.json"])))
    names = built.state_dict()
    spell = {
        key.replace("parametrizations.weight.original0", "weight_g").replace("parametrizations.weight.original1", "weight_v"): key
        for key in names
    }
    own = {spell[name]: torch.from_numpy(values).view(names[spell[name]].shape) for name, values in tensors.items()}
    for k in range(built.config.decoder.num_codebooks):  # what training a codebook needs and using it does not
        book = f"audio_encoder.quantizer.layers.{k}.codebook"
        own[f"{book}.embed_avg"] = own[f"{book}.embed"]
        own[f"{book}.cluster_size"], own[f"{book}.inited"] = torch.ones(len(own[f"{book}.embed"])), torch.ones(1)
    if "text_encoder.encoder.embed_tokens.weight" in names:
        own["text_encoder.encoder.embed_tokens.weight"] = own["text_encoder.shared.weight"]
    missing, unexpected = built.load_state_dict(own, strict=False)
    assert not unexpected and all("embed_positions" in name for name in missing), (missing, unexpected)
    built.generation_config = GenerationConfig.from_dict(json.loads(texts["generation_config.json"]))
    built.config.decoder_start_token_id = PAD
    return built.eval(), texts


def unpack(args) -> None:
    built, texts = model(Path(args.gguf) if args.gguf else None)
    out = Path(args.folder)
    built.save_pretrained(out)
    for name, text in texts.items():
        (out / name).write_text(text)


def golden(_) -> None:
    import tokenizers
    import torch
    import transformers
    from lm import encode_texts

    built, texts = model()
    tokenizer = tokenizers.Tokenizer.from_str(texts["tokenizer.json"])
    books = built.config.decoder.num_codebooks
    birth = {
        "script": "examples/train/asset.py golden",
        "why": f"transformers {transformers.__version__}, torch {torch.__version__} on CPU in f32, weights unpacked from the shipped file",
        "tolerance": "exact: greedy codes",
    }
    for name, (prompt, seconds) in PROMPTS.items():
        frames = round(seconds * 25)
        if prompt is None:
            inputs = built.get_unconditional_inputs(num_samples=1)
            states, guidance = {"encoder_outputs": inputs.encoder_outputs, "attention_mask": inputs.attention_mask}, 1.0
        else:
            ids, mask = encode_texts(tokenizer, [prompt])
            states, guidance = {"input_ids": ids, "attention_mask": mask}, 3.0
        kept = {}
        decode = built.audio_encoder.decode
        built.audio_encoder.decode = lambda codes, *rest, **named: kept.update(codes=codes) or decode(codes, *rest, **named)  # noqa: B023
        with torch.no_grad():
            built.generate(**states, do_sample=False, guidance_scale=guidance, max_length=frames + books)
        built.audio_encoder.decode = decode
        codes = kept["codes"].reshape(books, -1)[:, :frames]
        request = {"prompt": prompt, "seconds": seconds, "temperature": 0, "guidance_scale": guidance}
        parameters = {"checkpoint": "default", "request": {k: v for k, v in request.items() if v is not None}}
        write(f"codes_default_{name}", "generate_codes", birth, parameters, {"codes": codes.tolist()})
    prompts = [p for p, _ in PROMPTS.values() if p] + ["137bpm, F# minor — żółw 🎵", "LO-FI hip hop"]
    ids = [tokenizer.encode(p).ids for p in prompts]
    birth = {**birth, "why": f"tokenizers {tokenizers.__version__}", "tolerance": "exact"}
    write("tokenize_default", "tokenize", birth, {"checkpoint": "default", "prompts": prompts}, {"ids": ids})


def write(name: str, operation: str, origin: dict, parameters: dict, expected: dict) -> None:
    case = {"expected": expected, "operation": operation, "origin": origin, "parameters": parameters}
    (GOLDEN / f"{name}.json").write_text(json.dumps(case, indent=2, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("pack", "unpack", "golden"))
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--gguf")
    args = parser.parse_args()
    {"pack": pack, "unpack": unpack, "golden": golden}[args.command](args)


if __name__ == "__main__":
    main()
