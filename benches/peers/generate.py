"""Text to music, ours beside transformers: CPU time of a step, of T5 and of the codec, one thread, and peak memory.

    cargo build --release -p sonicforge-benches --features generate --bin generate-peer
    python benches/peers/generate.py [--work DIR] [--size small] [--only transformers,q8_0,q4_k] [--rounds 2] [--steps 32]
                                     [--out generate] [--reprint] [--wall 10]

The model is full-size MusicGen with seeded random weights (made once, as the parity fixtures are, into the work folder: 2.3 GB
for small): the speed of a dense model does not depend on what it has learnt. Each contestant runs in a process of its own,
`--rounds` times, by turns; the least of each cost is taken. All times are CPU seconds (user + system) of the process.

- step: a generation of 4 + `--steps` frames less one of 4 frames of the same prompts, over `--steps`: T5 and the first step
  cancel out. `cfg` is one song with guidance 3, `plain` the same without, `batch 4` four songs with guidance.
- first frames: 4 frames of one song with guidance: T5 and 7 steps. text: T5 alone, 12 tokens (transformers).
- codec: decoding and encoding 5 s, per second of audio.
- memory: peak resident set of the process after loading, generating and decoding.
- song: with `--wall S`, S seconds from prompt to samples on two threads, by the clock. Only on an idle machine.

A ratio over 1 says: so many times less than transformers.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

from common import REPOSITORY, WORK, ours, save_json, table

HERE = pathlib.Path(__file__).resolve()
RATE, FRAME_RATE, FEW = 32000, 50, 4
PROMPTS = ["slow warm piano and soft strings at dawn", "fast drums and deep bass", "a gentle jazz waltz with brushes", "dark ambient pad"]
SIZES = {"small": (24, 1024, 16), "medium": (48, 1536, 24), "large": (48, 2048, 32)}


# ---------------------------------------------------------------------------------------------------------------------
# The model, made once


def shape(size: str) -> dict:
    """MusicGen's real sizes: T5-base, the 32 kHz codec, 4 codebooks of 2048."""
    import shapes

    layers, width, heads = SIZES[size]
    text = shapes.text_config(vocab_size=32128, d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12)
    codec = shapes.codec_config(hidden_size=128, codebook_dim=128, num_filters=64, codebook_size=2048)
    decoder = shapes.decoder_config(2048, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, ffn_dim=4 * width)
    return dict(kind="mono", text=text, codec=codec, decoder=decoder, names="new", dtype="float32", shards=1, positions=False,
                full_config=False, seed=3)  # fmt: skip


def folder_of(work: pathlib.Path, size: str) -> pathlib.Path:
    """The checkpoint; makes it when it is not there."""
    folder = work / f"musicgen-{size}-random"
    if not (folder / "complete").exists():
        sys.path.insert(0, str(REPOSITORY / "sonicforge-core/tests/fixtures/generate"))  # how wide random weights must be
        import shapes
        import torch
        import weights

        torch.set_grad_enabled(False)
        spec = shape(size)
        model = shapes.build(spec)
        weights.save(model, weights.fill(model, spec), spec, folder)
        (folder / "complete").write_text("seeded random weights; no licence of anybody\n")
    return folder


# ---------------------------------------------------------------------------------------------------------------------
# The contestants


class Transformers:
    """The reference, f32 or bf16, eager, as its documentation runs it."""

    def __init__(self, folder: pathlib.Path, precision: str, threads: int):
        import torch
        import transformers

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        transformers.logging.set_verbosity_error()
        self.torch, dtype = torch, getattr(torch, precision)
        self.model = transformers.MusicgenForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()
        self.tokens = transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"), pad_token="<pad>", eos_token="</s>"
        )
        self.versions = f"transformers {transformers.__version__}, torch {torch.__version__}"

    def text(self) -> None:
        # Twelve tokens, whatever a tokenizer makes of words.
        self.model.text_encoder(input_ids=self.torch.arange(3, 15)[None], attention_mask=self.torch.ones(1, 12, dtype=self.torch.long))

    def codes(self, prompts: list[str], frames: int, guidance: float):
        asked = self.tokens(prompts, padding=True, return_tensors="pt")
        decode, seen = self.model.audio_encoder.decode, []

        class Stop(Exception):
            pass

        def stop(codes, *_, **__):
            seen.append(codes)
            raise Stop

        self.model.audio_encoder.decode = stop  # codes only: the codec is measured by itself
        try:
            self.model.generate(input_ids=asked["input_ids"], attention_mask=asked["attention_mask"], do_sample=True, top_k=250,
                                guidance_scale=guidance, max_new_tokens=frames + 3)  # fmt: skip
        except Stop:
            pass
        finally:
            self.model.audio_encoder.decode = decode
        return seen[0]  # 1, songs, codebooks, frames

    def decode(self, codes) -> None:
        self.model.audio_encoder.decode(codes, [None])

    def encode(self, samples) -> None:
        self.model.audio_encoder.encode(self.torch.from_numpy(samples)[None, None].to(self.model.dtype))

    def random_codes(self, frames: int):
        return self.torch.randint(0, 2048, (1, 1, 4, frames), generator=self.torch.Generator().manual_seed(1))

    def song(self, prompt: str, seconds: float) -> None:
        asked = self.tokens([prompt], return_tensors="pt")
        self.model.generate(input_ids=asked["input_ids"], attention_mask=asked["attention_mask"], do_sample=True, top_k=250,
                            guidance_scale=3.0, max_new_tokens=int(seconds * FRAME_RATE) + 3)  # fmt: skip


def ours_bin() -> pathlib.Path | None:
    """The program that runs our side, or None."""
    named = os.environ.get("SONICFORGE_GENERATE_BIN")
    if named:
        return pathlib.Path(named)
    beside = ours()
    places = [beside.parent] if beside else []
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    places += [target / "release", *sorted(target.glob("*/release"))]
    return next((p / "generate-peer" for p in places if (p / "generate-peer").exists()), None)


def ours_measured(folder: pathlib.Path, precision: str, steps: int, wall: float) -> dict:
    """Our side, by its own program."""
    program = ours_bin()
    if program is None:
        raise SystemExit("generate-peer is not built: see the head of this script")
    source = folder
    if precision.startswith("q"):  # from its own file, as a host would; made once
        source = folder.parent / f"{folder.name}-{precision}.gguf"
        if not source.exists():
            subprocess.run([str(program), "quantize", str(folder), str(source), precision], check=True, stdout=sys.stderr)
    command = [str(program), str(source), "--precision", precision]
    command += ["--wall", str(wall), "--threads", "2"] if wall else ["--few", str(FEW), "--many", str(FEW + steps)]
    got = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    if source.is_file():
        got["file_mib"] = source.stat().st_size / 2**20
    return got


CONTESTANTS = {
    "transformers": (Transformers, "float32"),
    "transformers bf16": (Transformers, "bfloat16"),
    "f32": (None, "f32"),
    "q8_0": (None, "q8_0"),
    "q4_k": (None, "q4_k"),
}


# ---------------------------------------------------------------------------------------------------------------------
# Measuring


def cpu(work, times: int = 1) -> float:
    """CPU seconds of the whole process while `work` runs; the least of some runs."""
    best = float("inf")
    for _ in range(times):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


def peak_mib() -> float:
    """Peak resident memory of this process (Linux)."""
    return int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def measure(name: str, folder: pathlib.Path, steps: int, wall: float) -> dict:
    """One contestant, in this process or a child of it."""
    import numpy as np

    kind, precision = CONTESTANTS[name]
    if kind is None:
        return {"name": name, **ours_measured(folder, precision, steps, wall)}
    if wall:
        made = kind(folder, precision, 2)
        made.codes(PROMPTS[:1], FEW, 3.0)
        start = time.perf_counter()
        made.song(PROMPTS[0], wall)
        return {"name": name, "versions": made.versions, "song": (time.perf_counter() - start) / wall}
    started = time.process_time()
    made = kind(folder, precision, 1)
    got = {"name": name, "versions": made.versions, "load": time.process_time() - started}
    for case, songs, guidance in (("cfg", 1, 3.0), ("plain", 1, 1.0), ("batch 4", 4, 3.0)):
        for word, frames in (("few", FEW), ("many", FEW + steps)):
            got[f"{word} {case}"] = cpu(lambda p=songs, g=guidance, f=frames: made.codes(PROMPTS[:p], f, g), 3)
    got["text"] = cpu(made.text, 3)
    codes, tone = made.random_codes(5 * FRAME_RATE), np.sin(np.arange(5 * RATE) * 0.05).astype(np.float32) * 0.3
    got["codec decode"] = cpu(lambda: made.decode(codes), 3) / 5
    got["file_mib"] = sum(f.stat().st_size for f in folder.glob("*.safetensors")) / 2**20
    got["peak_mib"] = peak_mib()
    got["codec encode"] = cpu(lambda: made.encode(tone), 3) / 5
    return got


def derived(raw: dict, steps: int) -> dict:
    """What follows from the least costs of all rounds."""
    for case in ("cfg", "plain", "batch 4"):
        if f"many {case}" in raw:
            raw[f"step {case}"] = (raw[f"many {case}"] - raw[f"few {case}"]) / steps
    return raw


def child(name: str, folder: pathlib.Path, said: argparse.Namespace, wall: float = 0.0) -> dict:
    """One contestant, in a process of its own; {'error'} when it cannot run here."""
    env = {**os.environ, "OMP_NUM_THREADS": "2" if wall else "1", "MKL_NUM_THREADS": "2" if wall else "1", "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        [sys.executable, str(HERE), "--child", name, "--folder", str(folder), "--steps", str(said.steps), "--wall", str(wall)],
        capture_output=True, text=True, env=env,
    )  # fmt: skip
    if ran.returncode:
        return {"name": name, "error": (ran.stderr.strip().splitlines() or ["no word"])[-1]}
    return json.loads(ran.stdout.strip().splitlines()[-1])


def processor() -> str:
    """The CPU's name and the vector instructions that matter here."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
        name = text.split("model name\t: ")[1].split("\n")[0]
        flags = text.split("flags\t\t: ")[1].split("\n")[0].split()
        return f"{name} ({', '.join(f for f in ('avx2', 'avx512f', 'avx512_vnni', 'avx_vnni', 'amx_int8') if f in flags)})"
    except (OSError, IndexError):
        return platform.processor()


ROWS = [("step cfg", "one step, CPU ms", 1000), ("step plain", "one step without guidance, CPU ms", 1000), ("step batch 4", "one step of four songs, CPU ms", 1000),
        ("text", "T5, 12 tokens, CPU s", 1), ("few cfg", "first four frames, CPU s", 1), ("codec decode", "codec decode, CPU s per s", 1),
        ("codec encode", "codec encode, CPU s per s", 1), ("peak_mib", "peak memory, MiB", 1), ("file_mib", "file, MiB", 1), ("load", "loading, CPU s", 1),
        ("song", "song, two threads, s per s by the clock", 1)]  # fmt: skip


def report(result: dict) -> str:
    """The tables of a result."""
    best = result["best"]
    names, base = list(best), best.get("transformers", {})
    head = ["", *names, *[f"ratio {n}" for n in names if n != "transformers"]]
    rows = []
    for key, label, unit in ROWS:
        if any(key in b for b in best.values()):
            cells = [round(b[key] * unit, 3) if key in b else "–" for b in best.values()]
            ratios = [round(base[key] / b[key], 2) if key in b and key in base and b[key] > 0 else "–" for n, b in best.items() if n != "transformers"]
            rows.append([label, *cells, *ratios])
    four = {n: b["step batch 4"] / b["step cfg"] for n, b in best.items() if "step batch 4" in b}
    rows.append(["four songs over one, one step", *[round(four[n], 2) if n in four else "–" for n in names], *["" for _ in names[1:]]])
    lines = [table(head, rows), f"How: {result['how']}"]
    lines += [f"Not measured: {n}: {why}" for n, why in result["errors"].items()]
    return "\n".join(lines)


def main() -> int:
    ask = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ask.add_argument("--work", type=pathlib.Path, default=WORK)
    ask.add_argument("--size", choices=SIZES, default="small")
    ask.add_argument("--only", default="transformers,q8_0,q4_k")
    ask.add_argument("--rounds", type=int, default=2)
    ask.add_argument("--steps", type=int, default=32)
    ask.add_argument("--out", default="generate")
    ask.add_argument("--reprint", action="store_true")
    ask.add_argument("--wall", type=float, default=0.0)
    ask.add_argument("--child")
    ask.add_argument("--folder", type=pathlib.Path)
    said = ask.parse_args()
    if said.child:
        print(json.dumps(measure(said.child, said.folder, said.steps, said.wall)))
        return 0
    kept = said.work / f"{said.out}.json"
    if said.reprint:
        print(report(json.loads(kept.read_text())))
        return 0
    folder = folder_of(said.work, said.size)
    names = said.only.split(",")
    if unknown := [n for n in names if n not in CONTESTANTS]:
        raise SystemExit(f"unknown contestant {unknown[0]!r}; known: {', '.join(CONTESTANTS)}")
    runs: list[dict] = []
    for turn in range(said.rounds):
        for name in names:
            print(f"round {turn + 1}: {name} …", file=sys.stderr, flush=True)
            runs.append(child(name, folder, said))
    if said.wall:
        runs += [child(name, folder, said, said.wall) for name in names]
    best: dict[str, dict] = {}
    for one in runs:
        if "error" not in one:
            into = best.setdefault(one["name"], {})
            into.update({k: min(v, into.get(k, v)) if isinstance(v, float) else v for k, v in one.items()})
    best = {name: derived(raw, said.steps) for name, raw in best.items()}
    errors = {r["name"]: r["error"] for r in runs if "error" in r}
    how = (
        f"musicgen-{said.size} shapes, seeded random weights; {processor()}; one thread; CPU seconds, the least of {said.rounds} rounds by "
        f"turns, steps over {said.steps} frames after the first {FEW}; load average at the end {os.getloadavg()[0]:.1f}; "
        f"Python {platform.python_version()}; {'; '.join(sorted({b['versions'] for b in best.values()}))}"
    )
    result = {"how": how, "best": best, "errors": errors, "runs": runs}
    save_json(kept, result)
    print(report(result))
    return 0 if best else 1


if __name__ == "__main__":
    sys.exit(main())
