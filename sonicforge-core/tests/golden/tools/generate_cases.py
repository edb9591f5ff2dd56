"""Writes the vectors of `golden/generate/` from what transformers computed with the checkpoints of `fixtures/generate`.

    python tools/generate_cases.py

Nothing is computed here: the numbers are those of `reference.safetensors` (see the README beside it), whose birth
certificate is `reference.json`. Needs numpy only.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
FIXTURES = HERE.parents[1] / "fixtures" / "generate"
OUT = HERE.parent / "generate"

DTYPES = {"I64": np.int64, "I16": np.int16, "F32": np.float32}
EXACT = "exact: the gap between the best choice and the next is far above the noise of f32 (smallest_gaps in reference.json)"
NEAR = "1e-5 of full scale: five to fifty times what another pair of torch and transformers differs by"


class Reference:
    """The tensors and the JSON beside a checkpoint."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.json = json.loads((FIXTURES / name / "reference.json").read_text(encoding="utf-8"))
        data = (FIXTURES / name / "reference.safetensors").read_bytes()
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        self.tensors = {
            key: np.frombuffer(data[8 + size :][slice(*about["data_offsets"])], DTYPES[about["dtype"]]).reshape(
                about["shape"]
            )
            for key, about in header.items()
            if key != "__metadata__"
        }

    def __getitem__(self, key: str) -> np.ndarray:
        return self.tensors[key]

    def text(self, row: int) -> list[int]:
        """Token ids of one of the prompts, without the padding."""
        return self["text.input_ids"][row][self["text.attention_mask"][row] == 1].tolist()


def floats(values: np.ndarray) -> list:
    """The shortest decimals that give these f32 back."""
    return json.loads(json.dumps(values.tolist(), default=float)) if values.dtype != np.float32 else shortest(values)


def shortest(values: np.ndarray) -> list:
    return [shortest(v) for v in values] if values.ndim > 1 else [float(str(v)) for v in values]


def probes(audio: np.ndarray) -> dict:
    """What the runners compare of (channels, frames)."""
    frames = audio.shape[1]
    at = [k * frames // 17 for k in range(1, 17)]
    return {"frames": frames, "channels": audio.shape[0], "sample_rate": 32000, "probes": floats(audio[:, at])}


def write(name: str, operation: str, reference: Reference, parameters: dict, expected: dict, tolerance: dict) -> None:
    made = reference.json["made_with"]
    case = {
        "operation": operation,
        "parameters": {"checkpoint": reference.name, **parameters},
        "expected": expected,
        "tolerance": tolerance,
        "origin": {
            "script": "tools/generate_cases.py",
            "tolerance": NEAR if tolerance else EXACT,
            "why": f"transformers {made['transformers']}, torch {made['torch']}, tokenizers {made['tokenizers']} on CPU in f32, "
            "by fixtures/generate/make_fixtures.py",
        },
    }
    # A line per value, but lists of numbers in one line.
    text = json.dumps(case, indent=2, sort_keys=True, ensure_ascii=False)
    (OUT / f"{name}.json").write_text(compact(text) + "\n", encoding="utf-8")


def compact(text: str) -> str:
    lines, inside = [], False
    for line in text.split("\n"):
        bare = line.strip()
        number = bare.rstrip(",").lstrip("-").replace(".", "").replace("e-", "").isdigit() and ":" not in bare
        if inside and (number or bare in ("]", "],")):
            lines[-1] += bare if not number else bare.replace(",", ", ")
            lines[-1] = lines[-1].replace(", ]", "]")
            inside = number
        elif number and lines[-1].endswith("["):
            lines[-1] += bare.replace(",", ", ")
            inside = True
        else:
            lines.append(line)
    return "\n".join(lines)


def main() -> None:
    OUT.mkdir(exist_ok=True)
    mono, stereo, melody = map(Reference, ("mono", "stereo", "melody"))

    for reference in (mono, stereo):
        entries = [e for e in reference.json["tokens"] if e["text"].strip()]
        write(
            f"tokenize_{reference.name}",
            "tokenize",
            reference,
            {"prompts": [e["text"] for e in entries]},
            {"ids": [e["ids"] for e in entries]},
            {},
        )

    greedy = {"temperature": 0.0, "keep_prompt": True, "seed": 0}
    for reference, run, row in (
        (mono, "greedy3", 0),
        (mono, "greedy1", 2),
        (mono, "unconditional", None),
        (mono, "continuation", 0),
        (stereo, "greedy3", 0),
        (melody, "plain", 0),
    ):
        about = reference.json["runs"][run]
        request = {**greedy, "guidance_scale": about["guidance_scale"]}
        if row is not None:
            request["token_ids"] = reference.text(row)
        request["seconds"] = about.get("new_frames", about["frames"]) * 640 / 32000
        if run == "continuation":
            request["continue_codes"] = reference["continuation.prompt_codes"].tolist()
        codes = reference[f"{run}.codes"]
        name = f"codes_{reference.name}_{run}"
        write(name, "generate_codes", reference, {"request": request}, {"codes": codes.tolist()}, {})

    for reference, run in ((mono, "greedy3"), (stereo, "greedy3"), (melody, "plain")):
        codes, audio = reference[f"{run}.codes"], reference[f"{run}.waveform"]
        parameters = {"codes": codes.tolist()}
        write(f"decode_{reference.name}", "decode_codes", reference, parameters, probes(audio), {"probes": 1e-5})

    for reference, key, frames in ((mono, "1920", 1920), (stereo, "100", 100), (melody, "100", 100)):
        wav = reference["codec.wav"][:frames]
        codes = reference[f"codec.codes_first{key}"]
        channels = reference.json["spec"]["decoder"]["audio_channels"]
        # One channel's codes; in a stereo model left and right take turns.
        expected = np.repeat(codes, channels, axis=0)
        parameters = {"sample_rate": 32000, "samples": floats(np.tile(wav, (channels, 1)))}
        write(f"encode_{reference.name}", "encode_audio", reference, parameters, {"codes": expected.tolist()}, {})


if __name__ == "__main__":
    main()
