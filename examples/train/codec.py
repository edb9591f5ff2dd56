"""Trains the codec: transformers' EncodecModel, 16 kHz mono, causal, 25 frames a second, eight codebooks of 1024 (2 kbit/s).

Sources: A. Défossez et al., "High fidelity neural audio compression" (EnCodec, 2022); N. Zeghidour et al., "SoundStream" (2021)
for residual vector quantization and its moving averages. The order is ours, since the joint recipe collapses at small batches:

  1 ae       encoder and decoder without quantizer. The latents' power is held to one and Gaussian noise is added; the
             capacity of that channel, ½·log2(1 + 1/σ²) bits a number (Shannon 1948), falls to what the codebooks will carry.
  2 kmeans   residual codebooks fitted to the latents.
  3 joint    everything together, straight-through, codebooks by moving averages, unused codes restarted.
  4 decoder  encoder and codebooks fixed (the tokens are final from here on), the decoder learns on quantized latents.

The decoder may also learn against an adversary (adversary.py) for the last part of its stage.

    python codec.py train --bank BANK.npz --run DIR [--ae 4000 --joint 4000 --decoder 6000]
    python codec.py train --pieces PIECES --run DIR ...                  # the same on sound that pieces.py renders on other cores
    python codec.py eval  --bank BANK.npz --run DIR [--clips 48] [--save DIR]
    python codec.py export --run DIR --out FOLDER
"""

from __future__ import annotations

import argparse
import json
import queue
import threading
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from adversary import Adversary
from common import DEVICE, Average, Run, from_first_worker, half, mean_over_workers, spread
from music import Bank, clip
from transformers import EncodecConfig, EncodecModel

RATE_HZ, HOP, BOOKS, SIZE, WIDTH = 16000, 640, 8, 1024, 64
CROP = 32 * HOP  # 1.28 s
ROLL = 12 + 12 + 5  # what a frame sounds: pitch classes, the bass's pitch class, note begun, kick, snare, cymbal, other drum


def config() -> EncodecConfig:
    return EncodecConfig(
        sampling_rate=RATE_HZ, audio_channels=1, normalize=False, chunk_length_s=None, overlap=None, target_bandwidths=[2.0],
        hidden_size=WIDTH, codebook_dim=WIDTH, codebook_size=SIZE, num_filters=32, upsampling_ratios=[5, 4, 4, 8],
        num_residual_layers=1, residual_kernel_size=3, kernel_size=7, last_kernel_size=7, compress=2, num_lstm_layers=1,
        use_causal_conv=True, pad_mode="constant", norm_type="weight_norm", trim_right_ratio=1.0, use_conv_shortcut=False,
    )  # fmt: skip


# ---------------------------------------------------------------- losses


def mel_filters(bands: int, window: int, low_hz: float = 20.0) -> torch.Tensor:
    """Triangles on the mel scale of Slaney's toolbox formula 2595·log10(1 + f/700), unit peak, unit sum where wide."""
    mel = lambda f: 2595 * np.log10(1 + f / 700)  # noqa: E731
    edges = 700 * (10 ** (np.linspace(mel(low_hz), mel(RATE_HZ / 2), bands + 2) / 2595) - 1)
    bins = np.linspace(0, RATE_HZ / 2, window // 2 + 1)
    up = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    down = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    bank = np.maximum(0, np.minimum(up, down))
    return torch.tensor(bank / np.maximum(bank.sum(axis=1, keepdims=True), 1e-3), dtype=torch.float32)


def magnitudes(audio: torch.Tensor, window: int) -> torch.Tensor:
    """|STFT| with hop window/4, divided by the window's root energy: white noise of deviation s reads s at every size."""
    hann = torch.hann_window(window, device=audio.device)
    z = torch.stft(audio, window, window // 4, window=hann, return_complex=True, pad_mode="constant")
    return z.abs() / hann.square().sum().sqrt()


class Spectral(torch.nn.Module):
    """Multi-resolution log-mel distance; `floor` 1e-5 is the reporting scale, 3e-5 what training sees."""

    LAYOUT = ((256, 32), (512, 48), (1024, 80), (2048, 96))

    def __init__(self):
        super().__init__()
        for k, (window, bands) in enumerate(self.LAYOUT):
            self.register_buffer(f"bank{k}", mel_filters(bands, window))

    @property
    def banks(self):
        return [getattr(self, f"bank{k}") for k in range(len(self.LAYOUT))]

    def mel(self, x, y, floor=1e-5):
        total = 0.0
        for (window, _), bank in zip(self.LAYOUT, self.banks, strict=True):
            a, b = bank @ magnitudes(x, window), bank @ magnitudes(y, window)
            total = total + (a.clamp(min=floor).log() - b.clamp(min=floor).log()).abs().mean()
        return total / len(self.banks)

    def train_terms(self, x, y):
        mel = linear = strokes = 0.0
        for (window, _), bank in zip(self.LAYOUT, self.banks, strict=True):
            a, b = magnitudes(x, window), magnitudes(y, window)
            linear = linear + (a - b).abs().mean((1, 2)) / a.mean((1, 2)).clamp(min=1e-3)
            a, b = (bank @ a).clamp(min=3e-5).log(), (bank @ b).clamp(min=3e-5).log()
            mel = mel + (a - b).abs().mean()
            if window == 512:  # what rises and falls within 16 ms: a stroke that is missing, or a flicker that is none
                strokes = ((a[..., 2:] - a[..., :-2]) - (b[..., 2:] - b[..., :-2])).abs().mean()
        # harmony: bins of 3.9 Hz below 2 kHz, where semitones lie close together
        low_a, low_b = magnitudes(x, 4096)[:, 8:512], magnitudes(y, 4096)[:, 8:512]
        low = ((low_a + 3e-3).log() - (low_b + 3e-3).log()).abs().mean()
        wave = ((x - y).abs().mean(1) / x.abs().mean(1).clamp(min=1e-3)).mean()
        return mel / 4, linear.mean() / 4, low, wave, strokes


def low_pass(taps: int = 97, corner_hz: float = 1000.0) -> torch.Tensor:
    time = np.arange(taps) - taps // 2
    response = np.sinc(2 * corner_hz / RATE_HZ * time) * np.hamming(taps)
    return torch.tensor(response / response.sum(), dtype=torch.float32)[None, None]


LOW = low_pass()


def error_nats(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Half the logarithm of the error's share of the power, below 1 kHz and in all: what makes the phase lock. A logarithm, since
    the last decibels should count as much as the first; the floor of a hundredth is what two kilobits a second may hope for."""

    def share(a, b):
        return ((a - b).square().mean(1) / a.square().mean(1).clamp(min=1e-6) + 0.01).log().mean()

    low = lambda a: F.conv1d(F.pad(a[:, None], (48, 48)), LOW.to(a.device), stride=4)[:, 0]  # noqa: E731
    return 0.5 * share(low(x), low(y)) + 0.5 * share(x, y)


# ---------------------------------------------------------------- quantizer


class Books(torch.nn.Module):
    """Residual vector quantizer with moving-average codebooks (SoundStream §III-C)."""

    def __init__(self):
        super().__init__()
        self.register_buffer("embed", torch.zeros(BOOKS, SIZE, WIDTH))
        self.register_buffer("count", torch.ones(BOOKS, SIZE))
        self.register_buffer("total", torch.zeros(BOOKS, SIZE, WIDTH))

    @staticmethod
    def nearest(x: torch.Tensor, book: torch.Tensor) -> torch.Tensor:
        return (book.square().sum(1) - 2 * x @ book.T).argmin(1)

    @torch.no_grad()
    def fit(self, latents: torch.Tensor, rounds: int = 25, seed: int = 0) -> list[float]:
        """k-means per stage on what the stages before left over (Lloyd), empty codes moved to random points."""
        g = torch.Generator().manual_seed(seed)
        rest, power, left = latents.clone(), latents.var(0).sum(), []
        for k in range(BOOKS):
            book = rest[torch.randperm(len(rest), generator=g)[:SIZE].to(rest.device)].clone()
            for _ in range(rounds):
                index = self.nearest(rest, book)
                count = torch.bincount(index, minlength=SIZE).float()
                book = torch.zeros_like(book).index_add_(0, index, rest) / count.clamp(min=1)[:, None]
                empty = count < 1
                book[empty] = rest[torch.randint(len(rest), (int(empty.sum()),), generator=g).to(rest.device)]
            index = self.nearest(rest, book)
            self.embed[k], self.total[k], self.count[k] = book, book * 4, 4.0
            rest = rest - book[index]
            left.append(float(rest.square().sum(1).mean() / power))
        return left

    @torch.no_grad()
    def encode(self, z: torch.Tensor, books: int = BOOKS) -> torch.Tensor:
        """(batch, width, frames) to codes (batch, books, frames)."""
        rest, codes = z.transpose(1, 2).reshape(-1, WIDTH), []
        for k in range(books):
            index = self.nearest(rest, self.embed[k])
            codes.append(index.view(z.shape[0], -1))
            rest = rest - self.embed[k][index]
        return torch.stack(codes, 1)

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        return sum(self.embed[k][codes[:, k]] for k in range(codes.shape[1])).transpose(1, 2)

    def forward(self, z: torch.Tensor, books: int, learn: bool, decay: float = 0.99):
        flat = z.transpose(1, 2).reshape(-1, WIDTH)
        rest, commit = flat, 0.0
        quantized = torch.zeros_like(flat)
        for k in range(books):
            with torch.no_grad():
                index = self.nearest(rest, self.embed[k])
                if learn:
                    self.count[k].mul_(decay).add_(torch.bincount(index, minlength=SIZE).float(), alpha=1 - decay)
                    self.total[k].mul_(decay).index_add_(0, index, rest.detach(), alpha=1 - decay)
                    mean_over_workers([self.count[k], self.total[k]])
                    self.embed[k] = self.total[k] / self.count[k].clamp(min=1e-4)[:, None]
                    dead = (self.count[k] < 0.01).nonzero()[:, 0]
                    if len(dead):
                        fresh = rest.detach()[torch.randint(len(rest), (len(dead),), device=rest.device)]
                        self.embed[k][dead], self.total[k][dead], self.count[k][dead] = fresh, fresh * 0.1, 0.1
                        from_first_worker([self.embed[k], self.total[k]])
            chosen = self.embed[k][index]
            quantized = quantized + chosen
            commit = commit + (rest - chosen).square().mean()
            rest = rest - chosen
        shape = (z.shape[0], -1, WIDTH)
        through = flat + (quantized - flat).detach()
        return through.view(shape).transpose(1, 2), commit / books


# ---------------------------------------------------------------- data


def roll(played: list, first: int, frames: int) -> np.ndarray:
    """(frames, ROLL) zeros and ones from the notes that render() reports, `first` being the sample where frame 0 begins."""
    out = np.zeros((frames, ROLL), np.uint8)
    drums = {"kick": 25, "snare": 26, "clap": 26, "rim": 26, "hat": 27, "open": 27, "ride": 27, "pedal": 27, "crash": 27, "shaker": 27}
    for role, what, at, held in played:
        begin, end = (at - first) // HOP, (at + held - first) // HOP + 1
        if end <= 0 or begin >= frames:
            continue
        if role == "drums":
            if begin >= 0:
                out[begin, drums.get(what, 28)] = 1
        else:
            out[max(0, begin) : end, what % 12] = 1
            if role == "bass":
                out[max(0, begin) : end, 12 + what % 12] = 1
            if begin >= 0:
                out[begin, 24] = 1
    return out


class Crops:
    """Endless fresh music: a shuffled pool of crops with their piano rolls, refilled by rendering new clips."""

    def __init__(self, bank: Bank, seed: int, pool: int = 384):
        self.bank, self.seed, self.pool, self.size = bank, seed, [], pool
        self.rng = np.random.default_rng(seed)

    def batch(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Sound (count, CROP) and roll (count, frames, ROLL)."""
        while len(self.pool) < self.size + count:
            played = []
            _, audio, _ = clip(self.seed, self.bank, 10.3, played=played)
            self.seed += 1
            shift = int(self.rng.integers(len(audio) - 8 * CROP + 1))
            score = roll(played, shift, 8 * CROP // HOP)
            for i in range(8):
                sound = audio[shift + i * CROP :][:CROP] * np.float32(10 ** (self.rng.uniform(-6, 1) / 20))
                self.pool.append((sound, score[i * CROP // HOP : (i + 1) * CROP // HOP]))
        out = []
        for _ in range(count):
            i = int(self.rng.integers(len(self.pool)))
            self.pool[i], self.pool[-1] = self.pool[-1], self.pool[i]
            out.append(self.pool.pop())
        return torch.from_numpy(np.stack([s for s, _ in out])), torch.from_numpy(np.stack([r for _, r in out])).float()


class Stored:
    """Crops of what pieces.py has rendered: from a few random shards, of which every fourth batch replaces one."""

    def __init__(self, folder: str, seed: int, most: int = 24):
        self.folder, self.rng, self.most = Path(folder), np.random.default_rng(seed), most
        self.shards: list[tuple[np.ndarray, np.ndarray]] = []
        self.seed, self.batches = seed, 0

    def load(self) -> None:
        while not (paths := [p for p in self.folder.glob("[0-9]*.npz") if int(p.stem)]):
            time.sleep(0.5)
        path = paths[int(self.rng.integers(len(paths)))]
        try:
            data = np.load(path)
            self.shards.append((data["audio"], data["roll"]))
        except FileNotFoundError:  # taken away meanwhile
            pass
        del self.shards[: -self.most]

    def batch(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        self.batches += 1
        if self.batches % 4 == 0 or len(self.shards) < 4:
            self.load()
        while not self.shards:
            self.load()
        sounds, scores = np.empty((count, CROP), np.float32), np.empty((count, CROP // HOP, ROLL), np.uint8)
        for i in range(count):
            audio, score = self.shards[int(self.rng.integers(len(self.shards)))]
            row = int(self.rng.integers(len(audio)))
            first = int(self.rng.integers((audio.shape[1] - CROP) // HOP + 1))
            level = 10 ** (self.rng.uniform(-6, 1) / 20) / 32768
            np.multiply(audio[row, first * HOP :][:CROP], level, out=sounds[i])
            scores[i] = np.unpackbits(score[row, first : first + CROP // HOP], axis=1)[:, :ROLL]
        return torch.from_numpy(sounds), torch.from_numpy(scores).float()


def ahead(batches, depth: int = 8):
    """Makes the next batches in another thread."""
    line: queue.Queue = queue.Queue(depth)

    def fill():
        while True:
            line.put(batches())

    threading.Thread(target=fill, daemon=True).start()
    return line.get


# ---------------------------------------------------------------- training


class Codec(torch.nn.Module):
    """`score` reads notes and strokes off a latent, linearly: training only. It makes the latents' main directions, and so the
    first codebooks, say what a listener would (the idea of semantic tokens, X. Zhang et al., "SpeechTokenizer", 2024)."""

    def __init__(self):
        super().__init__()
        self.score = torch.nn.Linear(WIDTH, ROLL)
        model = EncodecModel(config())
        self.encoder, self.decoder, self.books = model.encoder, model.decoder, Books()

    @torch.no_grad()
    def begin(self, sound: torch.Tensor) -> None:
        """Weights that let the sound through: orthogonal filters keep its power from layer to layer, ELU is nearly linear for
        levels of music, and so the first gradients see the waveform. (With torch's own first weights every layer loses 5 dB; the
        phase never locks, and the codec ends as a vocoder of envelopes without pitch.)"""
        for name, part in self.named_modules():
            if isinstance(part, torch.nn.Conv1d | torch.nn.ConvTranspose1d):
                shape = part.weight.shape
                if isinstance(part, torch.nn.Conv1d):
                    v = torch.nn.init.orthogonal_(torch.empty(shape[0], shape[1] * shape[2])).view(shape)
                else:  # two taps of every input meet in an output
                    v = torch.randn(shape) * (2 * shape[0]) ** -0.5
                if "block" in name and shape[2] == 1:  # the way beside the short cut begins quietly
                    v = 0.3 * v
                part.bias.zero_()
                part.parametrizations.weight.original0.copy_(v.flatten(1).norm(dim=1).view(-1, 1, 1))
                part.parametrizations.weight.original1.copy_(v)
            elif isinstance(part, torch.nn.LSTM):
                for value in part.parameters():
                    value.mul_(0.5)
        gains = lambda conv: conv.parametrizations.weight.original0  # noqa: E731
        scale = 0.8 / self.encoder(sound[:, None]).std()
        gains(self.encoder.layers[-1].conv).mul_(scale)
        gains(self.decoder.layers[0].conv).div_(scale)
        gains(self.decoder.layers[-1].conv).mul_(sound.std() / self.decoder(self.encoder(sound[:, None])).std())


def train(args, rank: int) -> None:
    run = Run(args.run, save_every_s=args.save_s, rank=rank, for_s=args.for_s)
    torch.manual_seed(0)
    codec, spectral = Codec().to(DEVICE), Spectral().to(DEVICE)
    average = Average(codec, 0.998)
    stages = {"ae": args.ae, "joint": args.joint, "decoder": args.decoder}
    state = run.load() or {"stage": args.first or ("decoder" if args.begin else "ae"), "step": 0, "seed": 10_000_000}
    if args.begin and "codec" not in state:
        state["codec"] = load(args.begin)[0].state_dict()
        state["average"] = {k: v.clone().to(DEVICE) for k, v in state["codec"].items()}
    if "codec" in state:
        codec.load_state_dict(state["codec"])
        average.values = state["average"]
    seed = state["seed"] + 5_000_000 * rank
    crops = Stored(args.pieces, seed) if args.pieces else Crops(Bank(args.bank), seed)
    make = lambda: tuple(v.pin_memory() if DEVICE.type == "cuda" else v for v in crops.batch(args.batch))  # noqa: E731
    take = ahead(make) if args.pieces else make
    if "codec" not in state:
        codec.begin(crops.batch(32)[0].to(DEVICE))
        from_first_worker([p.data for p in codec.parameters()])
        average = Average(codec, 0.998)

    for stage, steps in stages.items():
        names = list(stages)
        if names.index(stage) < names.index(state["stage"]):
            continue
        trained = codec.decoder.parameters() if stage == "decoder" else codec.parameters()
        peak = {"ae": 1.5e-3, "joint": 8e-4, "decoder": 5e-4}[stage]
        optimiser = torch.optim.AdamW(trained, lr=peak, betas=(0.9, 0.99), weight_decay=0.01)
        step, adversary = 0, None
        if state["stage"] == stage:
            step = state["step"]
            if "optimiser" in state:
                optimiser.load_state_dict(state["optimiser"])
        torch.manual_seed(step + 7 + 100_003 * rank)

        def snapshot():
            return {"stage": stage, "step": step, "seed": crops.seed - 5_000_000 * rank, "codec": codec.state_dict(),
                    "average": average.values, "optimiser": optimiser.state_dict()}  # noqa: B023 # fmt: skip

        if stage == "joint" and step == 0 and not args.begin:
            codec.load_state_dict(average.values)
            with torch.no_grad():
                latents = []
                while sum(map(len, latents)) < args.latents:
                    z = codec.encoder(crops.batch(32)[0].to(DEVICE)[:, None])
                    latents.append(z.transpose(1, 2).reshape(-1, WIDTH))
                    run.pause()
                left = codec.books.fit(torch.cat(latents))
                from_first_worker(list(codec.books.buffers()))
            run.log(stage="kmeans", left=[round(v, 4) for v in left])
            average = Average(codec, 0.998)
        if stage == "decoder" and step == 0:
            codec.load_state_dict(average.values)
        named = ("mel", "linear", "low", "wave", "power", "commit", "norm", "reading", "error", "strokes", "fooled", "told")
        sums, seen = torch.zeros(len(named), device=DEVICE), 0
        while (done := run.done(step, steps)) < 1:
            run.pause()
            run.agree()
            if run.due():
                run.save(snapshot())
                if run.stopping:
                    return
            # warm-up, then cosine to a twentieth
            warm = min(1.0, (step + 1) / 150)
            for group in optimiser.param_groups:
                group["lr"] = peak * warm * (0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * done)))
            x, score = (v.to(DEVICE, non_blocking=True) for v in take())
            with half(), torch.set_grad_enabled(stage != "decoder"):
                z = codec.encoder(x[:, None])
            z = z.float()
            power = z.square().mean((0, 2))
            bound, commit = F.relu(power - 1).mean(), torch.zeros((), device=DEVICE)
            if stage == "ae":
                sigma = 0.05 + 0.25 * min(1.0, done / 0.7)
                latent = z + sigma * torch.randn_like(z)
            else:
                same = np.random.default_rng((9, step))  # all workers drop the same books
                books = BOOKS if same.random() < 0.7 else int(same.integers(1, BOOKS))
                if stage == "decoder":
                    books = BOOKS
                latent, commit = codec.books(z, books, learn=stage == "joint")
            with half():
                y = codec.decoder(latent)[:, 0]
            y = y.float()
            mel, linear, low, wave, strokes = spectral.train_terms(x, y)
            reading = F.binary_cross_entropy_with_logits(codec.score(latent.transpose(1, 2)), score)
            error = error_nats(x, y)
            # first the phase, which decides between a tone and a noise; then the colours, or all bits would go below 1 kHz
            phase, colour = (1.0, 0.5 + 0.5 * min(1.0, done / 0.6)) if stage == "ae" else (0.04, 2.0)
            loss = colour * mel + linear + 0.5 * low + strokes + phase * error + bound + 0.5 * commit + 2.0 * reading
            optimiser.zero_grad(set_to_none=True)
            fooled = told = torch.zeros((), device=DEVICE)
            if stage == "decoder" and done > 1 - args.adversary:
                if adversary is None:
                    run.save({"codec": average.values, "stage": stage, "step": step}, "before_adversary.pt")
                    adversary = Adversary(peak).to(DEVICE)
                told = adversary.learn(x, y.detach())
                (by_colour,) = torch.autograd.grad(loss, y, retain_graph=True)
                fooling, fooled = adversary.gradient(x, y)
                y.backward(by_colour + args.weight * min(1.0, adversary.steps / 300) * fooling * by_colour.norm() / fooling.norm().clamp(min=1e-12))
            else:
                loss.backward()
            mean_over_workers([p.grad for g in optimiser.param_groups for p in g["params"] if p.grad is not None])
            norm = torch.nn.utils.clip_grad_norm_([p for g in optimiser.param_groups for p in g["params"]], 3.0)
            optimiser.step()
            step += 1
            average.update(codec, step)
            sums += torch.stack([mel, linear, low, wave, power.mean(), commit, norm, reading, error, strokes, fooled, told]).detach()
            seen += 1
            if step % args.log == 0:
                values = dict(zip(named, (sums / seen).tolist(), strict=True))
                run.log(stage=stage, step=step, done=done, **values)
                sums.zero_()
                seen = 0
        run.save(snapshot())
        run.save({"codec": average.values, "stage": stage, "step": step}, f"{stage}.pt")
        if stage == args.last:
            break
    run.log(stage="done")


# ---------------------------------------------------------------- evaluation


def load(folder: str | Path) -> tuple[Codec, str]:
    """From a run's folder or file, or from an exported folder."""
    path = Path(folder)
    if (path / "config.json").exists():
        from transformers import MusicgenForConditionalGeneration

        model, codec = MusicgenForConditionalGeneration.from_pretrained(path).audio_encoder, Codec()
        codec.encoder.load_state_dict(model.encoder.state_dict())
        codec.decoder.load_state_dict(model.decoder.state_dict())
        for k, layer in enumerate(model.quantizer.layers):
            codec.books.embed[k] = layer.codebook.embed
        codec.books.count.fill_(3.0)
        codec.books.total.copy_(3.0 * codec.books.embed)
        return codec.eval(), "exported"
    state = torch.load(path / "state.pt" if path.is_dir() else path, weights_only=False, map_location="cpu")
    codec = Codec()
    codec.load_state_dict(state["average"] if "average" in state else state["codec"])
    return codec.eval(), f"{state['stage']} {state['step']}"


@torch.no_grad()
def reconstruct(codec: Codec, audio: np.ndarray, quantize: bool) -> np.ndarray:
    x = torch.from_numpy(audio)[None, None]
    x = F.pad(x, (0, -x.shape[-1] % HOP))
    z = codec.encoder(x)
    if quantize:
        z = codec.books.decode(codec.books.encode(z))
    return codec.decoder(z)[0, 0, : len(audio)].numpy()


def opus(audio: np.ndarray, kilobits: float) -> np.ndarray:
    """Through libopus (the programs opusenc and opusdec), mono at 16 kHz."""
    import subprocess
    import tempfile

    from scipy.io import wavfile

    with tempfile.TemporaryDirectory() as folder:
        there, packed, back = (str(Path(folder) / name) for name in ("a.wav", "a.opus", "b.wav"))
        wavfile.write(there, RATE_HZ, (np.clip(audio, -1, 1) * 32767).astype(np.int16))
        subprocess.run(["opusenc", "--quiet", "--music", "--bitrate", str(kilobits), there, packed], check=True)
        subprocess.run(["opusdec", "--quiet", "--rate", str(RATE_HZ), packed, back], check=True)
        return np.pad(wavfile.read(back)[1].astype(np.float32) / 32768, (0, len(audio)))[: len(audio)]


def si_sdr_db(x: np.ndarray, y: np.ndarray) -> float:
    """Le Roux et al., "SDR – half-baked or well done?" (2019)."""
    part = (x @ y) / (x @ x) * x
    return float(10 * np.log10((part @ part) / ((y - part) @ (y - part) + 1e-12)))


def evaluate(args) -> None:
    import estimators as est

    codec, where = load(args.run)
    quantize = not where.startswith("ae")
    if args.kmeans and not quantize:
        with torch.no_grad():
            crops, latents = Crops(Bank(args.bank), 20_000_000), []
            while sum(map(len, latents)) < 30_000:
                latents.append(codec.encoder(crops.batch(32)[0][:, None]).transpose(1, 2).reshape(-1, WIDTH))
            print("left", [round(v, 3) for v in codec.books.fit(torch.cat(latents), 10)])
        quantize = True
    bank, spectral = Bank(args.bank), Spectral()
    rows, codes = [], []
    for seed in range(args.clips):
        a, audio, _ = clip(90_000_000 + seed, bank, 10.0, "test")
        again = opus(audio, args.opus) if args.opus else reconstruct(codec, audio, quantize)
        mel = float(spectral.mel(torch.from_numpy(audio)[None], torch.from_numpy(again)[None]))
        rows.append({
            "style": a.style, "mel": mel, "si_sdr": si_sdr_db(audio, again),
            "tempo": est.same_tempo(est.tempo(again), est.tempo(audio)),
            "set": est.set_distance(est.diatonic_set(again), est.diatonic_set(audio)),
            "bright": (est.brightness(audio), est.brightness(again)),
            "drums": est.drums_present(audio) == est.drums_present(again),
        })  # fmt: skip
        if quantize:
            with torch.no_grad():
                codes.append(codec.books.encode(codec.encoder(torch.from_numpy(audio)[None, None])))
        if args.save and seed < 12:
            from scipy.io import wavfile

            Path(args.save).mkdir(parents=True, exist_ok=True)
            for name, data in (("in", audio), ("out", again)):
                wavfile.write(Path(args.save) / f"{seed}-{a.style}-{name}.wav", RATE_HZ, (np.clip(data, -1, 1) * 32767).astype(np.int16))
    bright = np.log([r["bright"] for r in rows])
    out = {
        "at": where, "clips": len(rows), "quantized": quantize,
        "mel": np.mean([r["mel"] for r in rows]), "si_sdr_db": np.mean([r["si_sdr"] for r in rows]),
        "tempo": np.mean([r["tempo"] for r in rows]), "set": np.mean([r["set"] == 0 for r in rows]),
        "set_fifth": np.mean([r["set"] <= 1 for r in rows]), "brightness_r": np.corrcoef(bright.T)[0, 1],
        "drums": np.mean([r["drums"] for r in rows]),
    }  # fmt: skip
    if codes:
        out["code_use"] = [round(len(torch.unique(torch.cat(codes, 2)[:, k])) / SIZE, 3) for k in range(BOOKS)]
    print(json.dumps({k: round(float(v), 4) if isinstance(v, np.floating) else v for k, v in out.items()}))


def export(args) -> None:
    codec, _ = load(args.run)
    model = EncodecModel(config())
    model.encoder.load_state_dict(codec.encoder.state_dict())
    model.decoder.load_state_dict(codec.decoder.state_dict())
    for k, layer in enumerate(model.quantizer.layers):
        layer.codebook.embed.copy_(codec.books.embed[k])
        layer.codebook.embed_avg.copy_(codec.books.embed[k])
        layer.codebook.cluster_size.fill_(1.0)
        layer.codebook.inited.fill_(True)
    model.save_pretrained(args.out)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("train", "eval", "export"))
    parser.add_argument("--bank")
    parser.add_argument("--run", required=True)
    parser.add_argument("--out")
    parser.add_argument("--save")
    parser.add_argument("--pieces", help="train: a folder that pieces.py fills, instead of --bank")
    parser.add_argument("--begin", help="train: an exported folder or a run to learn on from; its tokens stay what they are unless --first joint")
    parser.add_argument("--first", choices=("joint", "decoder"), help="train, with --begin: the stage to enter")
    parser.add_argument("--for-s", type=float, default=0.0, help="train: seconds for every stage instead of steps")
    parser.add_argument("--adversary", type=float, default=0.0, help="train: the last share of the decoder's stage, with an adversary")
    parser.add_argument("--weight", type=float, default=0.5, help="train: the adversary's gradient against the others'")
    parser.add_argument("--save-s", type=float, default=180.0)
    parser.add_argument("--log", type=int, default=50)
    parser.add_argument("--opus", type=float, help="eval: libopus at these kilobits a second instead")
    parser.add_argument("--kmeans", action="store_true", help="eval of an autoencoder: fit codebooks first")
    parser.add_argument("--last", choices=("ae", "joint", "decoder"), default="decoder", help="train: end after this stage")
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--workers", type=int, default=1, help="train: processes, one core each")
    parser.add_argument("--batch", type=int, default=12, help="train: crops of 1.28 s for each worker")
    parser.add_argument("--latents", type=int, default=60_000, help="for k-means")
    for stage, steps in (("ae", 4000), ("joint", 4000), ("decoder", 6000)):
        parser.add_argument(f"--{stage}", type=int, default=steps)
    args = parser.parse_args()
    if args.for_s and args.workers > 1:
        parser.error("--for-s goes by one process's clock; expected --workers 1, or steps")
    if args.command == "train":
        spread(train, args, args.workers)
    else:
        {"eval": evaluate, "export": export}[args.command](args)


if __name__ == "__main__":
    main()
