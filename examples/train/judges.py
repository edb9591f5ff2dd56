"""What do strangers hear? Two published networks, trained by others on other music, judge generated clips against their prompts.

Sources: basic-pitch 0.4.0 (Apache-2.0; R. Bittner et al., "A lightweight instrument-agnostic model for polyphonic note
transcription and multipitch estimation", ICASSP 2022): its ONNX model tells the notes, hence the diatonic set. musicnn 0.1.0
(ISC; J. Pons and X. Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging", ISMIR 2019): fifty tags
of MagnaTagATune. Both wheels are only unzipped; musicnn's checkpoint is read without TensorFlow, as the headers of TensorFlow's
tensor bundle and LevelDB's "table_format.md" describe it. Mel scale: M. Slaney, "Auditory Toolbox", 1998. The area under the ROC
curve from ranks: J. Hanley and B. McNeil, Radiology 143, 1982.

    pip download --no-deps basic-pitch==0.4.0 musicnn==0.1.0      # then unzip both
    python judges.py PROMPTS.json --wavs DIR --basic-pitch PATH/nmp.onnx --musicnn PATH/MTT_musicnn [--limit N]

PROMPTS.json comes from evaluate.py; DIR holds PROMPT-SEED.wav, 16 kHz mono. The tags were learned from what listeners wrote
beside real recordings, so an area is to be read against that of the grammar's own renders, not against 1.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import common  # noqa: F401  (one thread)
import estimators as est
import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from scipy.io import wavfile
from scipy.signal import resample_poly
from scipy.stats import rankdata

RATE_HZ = 16000


class BasicPitch:
    """The probability that each of the 88 piano keys sounds, 86 times a second. The model takes two seconds less one hop at
    22.05 kHz; windows overlap by 30 frames, of which both sides give up half."""

    HOP, WINDOW, OVERLAP, LOWEST_KEY = 256, 2 * 22050 - 256, 30, 21

    def __init__(self, path: str):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    def notes(self, audio: np.ndarray) -> np.ndarray:
        audio = resample_poly(audio, 441, 320).astype(np.float32)
        half, step = self.OVERLAP // 2, self.WINDOW - self.OVERLAP * self.HOP
        starts = range(0, len(audio) + half * self.HOP, step)
        padded = np.pad(audio, (half * self.HOP, self.WINDOW))
        windows = np.stack([padded[s : s + self.WINDOW, None] for s in starts])
        (notes,) = self.session.run(["StatefulPartitionedCall:1"], {self.input: windows})
        return np.concatenate(notes[:, half:-half])[: len(audio) * 86 // 22050]

    def diatonic_set(self, audio: np.ndarray) -> int:
        """As estimators.diatonic_set, from keys that sound more likely than not."""
        notes = self.notes(audio)
        keys = np.where(notes > 0.5, notes, 0).sum(0)
        profile = np.bincount(np.arange(self.LOWEST_KEY, self.LOWEST_KEY + 88) % 12, weights=keys)
        value = np.sqrt(profile / (profile.sum() + 1e-9))
        return int(np.argmax([value @ np.roll(est.MAJOR, k) for k in range(12)]))


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A little-endian number of seven bits a byte, and where the next thing begins."""
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if data[at - 1] < 128:
            return value, at


def message(data: bytes) -> dict[int, list]:
    """The fields of a protocol buffer, by number, in order; messages within stay bytes."""
    found, at = {}, 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 0:
            value, at = varint(data, at)
        else:
            size, at = varint(data, at) if tag & 7 == 2 else ({1: 8, 5: 4}[tag & 7], at)
            value, at = data[at : at + size], at + size
        found.setdefault(tag >> 3, []).append(value)
    return found


def entries(table: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of one block of a table: a key leaves out what it shares with the one before."""
    offset, at = varint(handle, 0)
    size, _ = varint(handle, at)
    assert table[offset + size] == 0, "a compressed block"
    block, key, at = table[offset : offset + size], b"", 0
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")  # the restart points and their count
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        length, at = varint(block, at)
        key = key[:shared] + block[at : at + own]
        yield key, block[at + own : at + own + length]
        at += own + length


def checkpoint(prefix: str) -> dict[str, np.ndarray]:
    """The variables of a TensorFlow checkpoint: PREFIX.index says where each lies in PREFIX.data-00000-of-00001."""
    table = Path(prefix + ".index").read_bytes()
    data = np.fromfile(prefix + ".data-00000-of-00001", np.uint8)
    footer = table[-48:]
    assert footer[-8:] == bytes.fromhex("57fb808b247547db"), "not a table"
    _, at = varint(footer, 0)  # first the handle of the meta index, then that of the index
    _, at = varint(footer, at)
    variables = {}
    for _, handle in entries(table, footer[at:]):
        for key, value in entries(table, handle):
            if not key:  # the header of the bundle
                assert message(value).get(1, [1]) == [1], "more than one shard"
                continue
            entry = message(value)
            assert entry[1] == [1], f"{key} is not float32"
            shape = [message(d).get(1, [0])[0] for d in message(entry.get(2, [b""])[0]).get(2, [])]
            offset, size = entry.get(4, [0])[0], entry[5][0]
            variables[key.decode()] = data[offset : offset + size].view(np.float32).reshape(shape)
    return variables


def slaney_filters(bands: int, window: int) -> np.ndarray:
    """Triangles of unit area in Hz; the scale is linear up to 1 kHz and logarithmic above, 27 steps to a factor of 6.4."""
    steps = np.linspace(0, 15 + 27 * np.log(RATE_HZ / 2 / 1000) / np.log(6.4), bands + 2)
    edges = np.where(steps < 15, steps * 200 / 3, 1000 * 6.4 ** ((steps - 15) / 27))
    bins = np.linspace(0, RATE_HZ / 2, window // 2 + 1)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle))) * 2 / (high - low)


class Musicnn:
    """Fifty tags from patches of three seconds: filters as tall as timbres and as long as rhythms look at a mel picture, three
    layers refine what they saw, and a small network judges its maximum and its mean over time."""

    FRAMES, BANDS, WINDOW, HOP = 187, 96, 512, 256

    def __init__(self, folder: str):
        # the checkpoint's name is empty: the files are .index and .data-…; the optimiser's slots go
        found = checkpoint(str(Path(folder)) + "/")
        found = {k: torch.tensor(v) for k, v in found.items() if "/Adam" not in k and not k.endswith("_power")}
        take = lambda kind, n, *parts: [found.pop(f"{kind}{f'_{n}' if n else ''}/{p}") for p in parts]  # noqa: E731
        self.norms = [take("batch_normalization", n, "moving_mean", "moving_variance", "gamma", "beta") for n in range(11)]
        # height, width, inputs, outputs → outputs, inputs, height, width
        self.convs = [(k.permute(3, 2, 0, 1), b) for k, b in (take("conv2d", n, "kernel", "bias") for n in range(8))]
        self.denses = [(k.T, b) for k, b in (take("dense", n, "kernel", "bias") for n in range(2))]
        assert not found, f"not used: {sorted(found)}"
        self.filters = torch.tensor(slaney_filters(self.BANDS, self.WINDOW), dtype=torch.float32)

    def patches(self, audio: np.ndarray) -> torch.Tensor:
        """(patches, frames, bands); a clip shorter than a patch is repeated."""
        window = torch.hann_window(self.WINDOW)
        z = torch.stft(torch.tensor(audio), self.WINDOW, self.HOP, window=window, pad_mode="reflect", return_complex=True)
        picture = torch.log10(10000 * (self.filters @ z.abs().square()) + 1).T
        picture = picture.repeat(-(-self.FRAMES // len(picture)), 1) if len(picture) < self.FRAMES else picture
        count = len(picture) // self.FRAMES
        return picture[: count * self.FRAMES].view(count, self.FRAMES, self.BANDS)

    def norm(self, x: torch.Tensor, n: int) -> torch.Tensor:
        return F.batch_norm(x, *self.norms[n], eps=1e-3)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        x, seen = self.norm(x[:, None], 0), []
        for n, (kernel, bias) in enumerate(self.convs[:5]):
            size = kernel.shape[2]  # an even kernel reaches one frame further ahead than back
            y = F.conv2d(F.pad(x, (0, 0, (size - 1) // 2, size // 2)), kernel, bias)
            seen.append(self.norm(F.relu(y), n + 1).amax(3))
        seen = [torch.cat(seen, 1)]  # (patches, channels, frames); from here on a kernel spans all the channels
        for n, (kernel, bias) in enumerate(self.convs[5:]):
            y = F.conv1d(seen[-1], kernel[:, 0].transpose(1, 2), bias, padding=3)
            y = self.norm(F.relu(y), n + 6)
            seen.append(y + seen[-1] if n else y)
        x = torch.cat(seen, 1)
        x = torch.stack((x.amax(2), x.mean(2)), 2).flatten(1)  # maximum and mean take turns
        x = self.norm(F.relu(F.linear(self.norm(x, 9), *self.denses[0])), 10)
        return F.linear(x, *self.denses[1])

    @torch.no_grad()
    def tags(self, audio: np.ndarray) -> np.ndarray:
        return torch.sigmoid(self.logits(self.patches(audio))).mean(0).numpy()


def either(yes: bool, no: bool) -> bool | None:
    return bool(yes) if yes or no else None


# tag: (its place among the fifty, does a prompt ask for it?); None: the prompt does not say clearly
QUESTIONS = {
    "piano": (9, lambda r: "piano" in r["roles"].values()),
    "drums": (5, lambda r: r["drums"]),
    "beat": (11, lambda r: r["drums"]),
    "techno": (3, lambda r: r["style"] == "techno"),
    "slow": (2, lambda r: either(r["bpm"] < 90, r["bpm"] > 120)),
    "fast": (8, lambda r: either(r["bpm"] > 130, r["bpm"] < 100)),
}


def auc(scores: np.ndarray, yes: np.ndarray) -> float:
    """How often a clip that should has a higher score than one that should not."""
    positive, negative = int(yes.sum()), int((~yes).sum())
    if not positive or not negative:
        return np.nan
    return float((rankdata(scores)[yes].sum() - positive * (positive + 1) / 2) / (positive * negative))


def verdicts(rows: list[dict], index: np.ndarray, sets: np.ndarray, tags: np.ndarray) -> dict[str, tuple[float, int, int]]:
    """For each question the value, and how many clips should and should not."""
    wanted = [est.set_of(rows[i]["root"], rows[i]["mode"]) for i in index]
    distance = np.array([est.set_distance(s, w) for s, w in zip(sets, wanted, strict=True)])
    found = {
        "same diatonic set, share": (float((distance == 0).mean()), len(index), 0),
        "within a fifth, share": (float((distance <= 1).mean()), len(index), 0),
    }
    for tag, (place, asks) in QUESTIONS.items():
        wanted = [asks(rows[i]) for i in index]
        clear = np.array([w is not None for w in wanted])
        yes = np.array([bool(w) for w in wanted])[clear]
        found[f"tag {tag}, AUC"] = (auc(tags[clear, place], yes), int(yes.sum()), int((~yes).sum()))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    for name in ("wavs", "basic-pitch", "musicnn"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--limit", type=int, help="only the first N clips")
    args = parser.parse_args()
    rows = json.loads(Path(args.file).read_text())
    pitch, tagger = BasicPitch(args.basic_pitch), Musicnn(args.musicnn)
    clips = sorted(tuple(map(int, p.stem.split("-"))) for p in Path(args.wavs).glob("*-*.wav"))[: args.limit]
    sets, tags = [], []
    for prompt, seed in clips:
        path = Path(args.wavs) / f"{prompt}-{seed}.wav"
        rate, data = wavfile.read(path)
        assert rate == RATE_HZ and data.ndim == 1 and data.dtype == np.int16, path
        audio = data.astype(np.float32) / 32768
        sets.append(pitch.diatonic_set(audio))
        tags.append(tagger.tags(audio))
    index, sets, tags = np.array([c[0] for c in clips]), np.array(sets), np.array(tags)
    rng = np.random.default_rng(0)
    asked = verdicts(rows, index, sets, tags)
    shuffled = [verdicts(rows, rng.permutation(len(rows))[index], sets, tags) for _ in range(400)]
    print(f"{len(clips)} clips of {len(set(index.tolist()))} prompts; shuffled: one permutation, and what 95 of 100 stay below")
    print(f"{'':26}{'asked':>8}{'shuffled':>10}{'95 of 100':>11}{'yes':>7}{'no':>6}")
    for name, (value, yes, no) in asked.items():
        chance = [s[name][0] for s in shuffled]
        below = np.nanpercentile(chance, 95) if np.isfinite(chance).any() else np.nan
        print(f"{name:26}{value:8.2f}{chance[0]:10.2f}{below:11.2f}{yes:7}{no or '':>6}")


if __name__ == "__main__":
    main()
