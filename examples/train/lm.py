"""Trains the language model: transformers' MusicgenForConditionalGeneration, 6 × 256, over the codec's tokens.

Sources: J. Copet et al., "Simple and controllable music generation" (MusicGen, 2023) for the delay pattern and guidance by
dropped captions; C. Raffel et al., "T5" (2020) for the text encoder; J. Ho, T. Salimans, "Classifier-free diffusion guidance"
(2022). Ours: the text encoder first learns to read attributes out of captions (cheap, no sound), then both train together.

    python lm.py text   --tokenizer T/tokenizer.json --run DIR                                # minutes
    python lm.py tokens --pieces PIECES --codec CODEC_RUN --out TOKENS --shards 400 --remove   # as pieces.py renders them
    python lm.py train  --tokens TOKENS --text TEXT_RUN --tokenizer T/tokenizer.json --run DIR --steps 20000
    python lm.py sample --run DIR --codec CODEC_RUN --tokenizer … --prompt "…" --out a.wav --seconds 10 --seed 1
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from captions import caption
from codec import BOOKS, RATE_HZ, SIZE, config as codec_config, load as load_codec
from common import DEVICE, Average, Run, half, mean_over_workers, spread
from music import STYLES, TONES, Attributes, draw
from muon import Muon
from pieces import TEXT_TOKENS
from tokenizers import Tokenizer
from torch import nn
from transformers import MusicgenConfig, MusicgenForConditionalGeneration, T5Config, T5EncoderModel
from transformers.models.musicgen.configuration_musicgen import MusicgenDecoderConfig

PAD = SIZE  # the code that stands for "not yet" and "no more", and starts a piece
FRAMES = 258  # 10 s and the delay of the last codebook
BOOK_WEIGHTS = torch.tensor([2.0, 1.6, 1.2, 1.0, 0.8, 0.6, 0.5, 0.3]) / 8.0
ATTRIBUTES = {"bpm": 126, "root": 12, "mode": 2, "style": len(STYLES), "tone": 3, "drums": 2}


def text_config(vocabulary: int) -> T5Config:
    return T5Config(
        vocab_size=vocabulary, d_model=128, d_kv=32, d_ff=384, num_layers=2, num_heads=4, relative_attention_num_buckets=32,
        relative_attention_max_distance=64, dropout_rate=0.05, feed_forward_proj="relu", pad_token_id=0, eos_token_id=1,
        is_encoder_decoder=False, use_cache=False,
    )  # fmt: skip


def model_config(vocabulary: int) -> MusicgenConfig:
    decoder = MusicgenDecoderConfig(
        vocab_size=SIZE, max_position_embeddings=512, num_hidden_layers=6, ffn_dim=1024, num_attention_heads=4, hidden_size=256,
        num_codebooks=BOOKS, audio_channels=1, layerdrop=0.0, dropout=0.0, attention_dropout=0.0, activation_dropout=0.0,
        activation_function="gelu", scale_embedding=False, initializer_factor=0.02, pad_token_id=PAD, bos_token_id=PAD,
        eos_token_id=None, tie_word_embeddings=False,
    )  # fmt: skip
    return MusicgenConfig(text_encoder=text_config(vocabulary).to_dict(), audio_encoder=codec_config().to_dict(), decoder=decoder.to_dict())


def encode_texts(tokenizer: Tokenizer, texts: list[str], limit: int = TEXT_TOKENS) -> tuple[torch.Tensor, torch.Tensor]:
    ids = [tokenizer.encode(t).ids[:limit] for t in texts]
    width = max(map(len, ids))
    tokens, mask = torch.zeros(len(ids), width, dtype=torch.long), torch.zeros(len(ids), width, dtype=torch.long)
    for row, values in enumerate(ids):
        tokens[row, : len(values)], mask[row, : len(values)] = torch.tensor(values), 1
    return tokens, mask


# ---------------------------------------------------------------- reading attributes


class Readers(nn.Module):
    """One learned query for each attribute, attending over the text states: used in training only."""

    def __init__(self, width: int = 128):
        super().__init__()
        self.query = nn.ParameterDict({k: nn.Parameter(torch.randn(width) * width**-0.5) for k in ATTRIBUTES})
        self.head = nn.ModuleDict({k: nn.Linear(width, n) for k, n in ATTRIBUTES.items()})

    def forward(self, states: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        out = {}
        for name, query in self.query.items():
            weight = (states @ query).masked_fill(mask == 0, -1e9).softmax(1)
            out[name] = self.head[name]((weight[..., None] * states).sum(1))
        return out


def targets(attributes: list[Attributes]) -> dict[str, torch.Tensor]:
    styles = list(STYLES)
    columns = {
        "bpm": [a.bpm - 55 for a in attributes], "root": [a.root for a in attributes], "mode": [a.mode == "minor" for a in attributes],
        "style": [styles.index(a.style) for a in attributes], "tone": [TONES.index(a.tone) for a in attributes],
        "drums": [a.drums for a in attributes],
    }  # fmt: skip
    return {k: torch.tensor(v, dtype=torch.long) for k, v in columns.items()}


def reading_loss(out: dict[str, torch.Tensor], want: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Cross entropy; tempo against a bell two per cent wide, so that neighbours count as near. What a caption leaves out
    costs everyone the same and teaches the prior."""
    losses = {k: F.cross_entropy(out[k], want[k]) for k in out if k != "bpm"}
    bpm = torch.arange(55, 181, dtype=torch.float32, device=want["bpm"].device)
    bell = (-0.5 * ((bpm / (want["bpm"] + 55.0)[:, None] - 1) / 0.02).square()).exp()
    losses["bpm"] = -(bell / bell.sum(1, keepdim=True) * out["bpm"].log_softmax(1)).sum(1).mean()
    return losses


def train_text(args) -> None:
    run = Run(args.run)
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(args.tokenizer)
    encoder, readers = T5EncoderModel(text_config(tokenizer.get_vocab_size())), Readers()
    both = nn.ModuleList([encoder, readers])
    optimiser = torch.optim.AdamW(both.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)
    step, seed = 0, 30_000_000
    if state := run.load():
        both.load_state_dict(state["both"])
        optimiser.load_state_dict(state["optimiser"])
        step, seed = state["step"], state["seed"]

    def batch(split="train", full=False):
        nonlocal seed
        attributes, texts = [], []
        for _ in range(args.batch):
            a = draw(seed, split)
            attributes.append(a)
            texts.append(caption(a, np.random.default_rng((seed, 7)), split, full))
            seed += 1
        return (*encode_texts(tokenizer, texts), targets(attributes))

    both.train()
    while step < args.steps:
        run.pause()
        if run.due():
            run.save({"both": both.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "seed": seed})
            if run.stopping:
                return
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * step / args.steps)))
        tokens, mask, want = batch()
        out = readers(encoder(input_ids=tokens, attention_mask=mask).last_hidden_state, mask)
        loss = sum(reading_loss(out, want).values())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimiser.step()
        step += 1
        if step % 200 == 0 or step == args.steps:
            both.eval()
            with torch.no_grad():
                here, seed = seed, 95_000_000
                tokens, mask, want = batch("test", full=True)
                seed = here
                out = readers(encoder(input_ids=tokens, attention_mask=mask).last_hidden_state, mask)
            right = {k: float((v.argmax(1) == want[k]).float().mean()) for k, v in out.items()}
            right["bpm"] = float(((out["bpm"].argmax(1) + 55) / (want["bpm"] + 55.0) - 1).abs().le(0.02).float().mean())
            run.log(step=step, loss=float(loss), held_out=str({k: round(v, 3) for k, v in right.items()}))
            both.train()
    run.save({"both": both.state_dict(), "optimiser": optimiser.state_dict(), "step": step, "seed": seed})


# ---------------------------------------------------------------- tokens


@torch.no_grad()
def make_tokens(args) -> None:
    """Encodes the shards of pieces.py as they appear: codes (pieces, books, frames) take the place of the sound. Shards that are there
    are kept, so it can be stopped; several processes share the work as --part 0/2 and --part 1/2."""
    pieces, out = Path(args.pieces), Path(args.out)
    part, parts = map(int, args.part.split("/"))
    run = Run(out)
    codec, _ = load_codec(args.codec)
    codec.to(DEVICE)
    waiting = {shard for shard in range(part, args.shards, parts) if not (out / f"{shard:05d}.npz").exists()}
    while waiting and not run.stopping:
        run.pause()
        here = [shard for shard in sorted(waiting) if (pieces / f"{shard:05d}.npz").exists()]
        for shard in here:
            source, path = pieces / f"{shard:05d}.npz", out / f"{shard:05d}.npz"
            data = np.load(source)
            codes = []
            for sound in torch.from_numpy(data["audio"]).split(60 if DEVICE.type == "cuda" else 6):
                with half():
                    z = codec.encoder(sound.to(DEVICE)[:, None].float() / 32768)
                codes.append(codec.books.encode(z.float()).to(torch.int16).cpu())
            with open(out / f"part{part}", "wb") as file:
                np.savez(file, codes=torch.cat(codes).numpy(), **{k: data[k] for k in ("texts", "starts", "attributes")})
            os.replace(out / f"part{part}", path)
            waiting.remove(shard)
            if args.remove:
                source.with_suffix(".used").touch()
                source.unlink()
            if run.stopping:
                return
        if here:
            run.log(shard=here[-1], left=len(waiting))
        else:
            time.sleep(0.5)


class Songs:
    """The token pool, on the device. New shards are picked up while they are being made; shard 0 is kept for validation."""

    def __init__(self, folder: str, seed: int, first: int = 1, last: int = 10**6):
        self.folder, self.rng = Path(folder), np.random.default_rng(seed)
        self.range, self.seen = range(first, last), set()
        self.codes = torch.zeros(0, BOOKS, 0, dtype=torch.int16, device=DEVICE)
        self.texts = torch.zeros(0, 0, TEXT_TOKENS, dtype=torch.int16, device=DEVICE)
        self.starts = torch.zeros(0, dtype=torch.long, device=DEVICE)
        self.lengths = np.zeros((0, 0), int)
        self.targets = {k: torch.zeros(0, dtype=torch.long, device=DEVICE) for k in ATTRIBUTES}
        while not len(self):
            self.refresh()
            time.sleep(0 if len(self) else 0.5)

    def __len__(self) -> int:
        return len(self.codes)

    def refresh(self) -> None:
        fresh = [p for p in sorted(self.folder.glob("[0-9]*.npz")) if p.name not in self.seen and int(p.stem) in self.range]
        if not fresh:
            return
        data = [np.load(p) for p in fresh]
        join = lambda old, key, kind: torch.cat([*([old] if len(old) else []), torch.from_numpy(np.concatenate([d[key] for d in data]).astype(kind)).to(DEVICE)])  # noqa: E731
        new = [Attributes(**a) for d in data for a in json.loads(str(d["attributes"]))]
        lengths = np.concatenate([(d["texts"] != 0).sum(2) for d in data])
        self.lengths = np.concatenate([self.lengths, lengths]) if len(self.lengths) else lengths
        self.targets = {k: torch.cat([self.targets[k], v.to(DEVICE)]) for k, v in targets(new).items()}
        self.texts, self.starts = join(self.texts, "texts", np.int16), join(self.starts, "starts", np.int64)
        self.codes = join(self.codes, "codes", np.int16)
        self.seen |= {p.name for p in fresh}

    def batch(self, count: int, frames: int):
        """Inputs and targets (count, books, frames), captions as tokens and mask, attributes. Codebook k moves k + 1 columns to the right
        (the delay pattern; column 0 is all PAD): the input is all but the last column, the target all but the first."""
        rows, words = self.rng.integers(len(self), size=count), self.rng.integers(self.texts.shape[1], size=count)
        width = max(1, int(self.lengths[rows, words].max()))
        rows, words = (torch.from_numpy(i).to(DEVICE, non_blocking=True) for i in (rows, words))
        codes = self.codes[rows].long()
        song = torch.full((count, BOOKS, codes.shape[2] + BOOKS), PAD, device=DEVICE)
        for k in range(BOOKS):
            song[:, k, 1 + k : 1 + k + codes.shape[2]] = codes[:, k]
        inputs, wanted = song[:, :, :frames], song[:, :, 1 : frames + 1].clone()
        # as a new window goes on from the last two fifths of the one before: those are given
        given = (self.starts[rows] > 0)[:, None] & (torch.arange(wanted.shape[2], device=DEVICE) < 2 * frames // 5)
        wanted = wanted.masked_fill(given[:, None], PAD)
        tokens = self.texts[rows, words, :width].long()
        return inputs[:, :, : wanted.shape[2]], wanted, tokens, (tokens != 0).long(), {k: v[rows] for k, v in self.targets.items()}


# ---------------------------------------------------------------- training


def logits_of(model, inputs, states, mask):
    """(batch, books, frames, codes): the decoder stack with its heads, as MusicgenForCausalLM.forward joins them."""
    hidden = model.decoder.model.decoder(
        input_ids=inputs.reshape(-1, inputs.shape[-1]), encoder_hidden_states=states, encoder_attention_mask=mask, use_cache=False
    ).last_hidden_state
    return torch.stack([head(hidden) for head in model.decoder.lm_heads], 1)


def text_states(model, tokens, mask):
    return model.enc_to_dec_proj(model.text_encoder(input_ids=tokens, attention_mask=mask).last_hidden_state) * mask[..., None]


def train(args, rank: int) -> None:
    run = Run(args.run, save_every_s=args.save_s, rank=rank, for_s=args.for_s)
    torch.manual_seed(1)
    tokenizer = Tokenizer.from_file(args.tokenizer)
    model, readers = MusicgenForConditionalGeneration(model_config(tokenizer.get_vocab_size())), Readers()
    del model.audio_encoder  # export puts it back
    if args.text:
        text = torch.load(Path(args.text) / "state.pt", weights_only=False)["both"]
        model.text_encoder.load_state_dict({k[2:]: v for k, v in text.items() if k.startswith("0.")})
        readers.load_state_dict({k[2:]: v for k, v in text.items() if k.startswith("1.")})
    with torch.no_grad():  # eight embeddings are added: together they should weigh what the positions do
        for embedding in model.decoder.model.decoder.embed_tokens:
            embedding.weight.normal_(0, 0.25)
        for head in model.decoder.lm_heads:
            head.weight.zero_()
    if args.begin:
        before = MusicgenForConditionalGeneration.from_pretrained(args.begin).state_dict()
        model.load_state_dict({k: v for k, v in before.items() if not k.startswith("audio_encoder")})
    both = nn.ModuleList([model, readers]).to(DEVICE)
    inner = [p for n, p in model.decoder.model.decoder.layers.named_parameters() if p.ndim == 2]
    slow = [*model.text_encoder.parameters(), *readers.parameters()]
    fast = [p for p in model.parameters() if not any(p is q for q in (*slow, *inner))]
    optimisers = [
        Muon(inner, lr=args.muon_lr),
        torch.optim.AdamW([{"params": fast}, {"params": slow, "lr": 0.1 * args.lr}], lr=args.lr, betas=(0.9, 0.95), weight_decay=0.01),
    ]
    groups = [g for o in optimisers for g in o.param_groups]
    for group in groups:
        group["peak"] = group["lr"]
    average = Average(both, args.average)
    step = 0
    if state := run.load():
        both.load_state_dict(state["both"])
        for optimiser, values in zip(optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(values)
        groups = [g for o in optimisers for g in o.param_groups]
        average.values, step = state["average"], state["step"]
    songs, unknown = Songs(args.tokens, step + 5 + 100_003 * rank), Songs(args.tokens, 0, 0, 1)
    torch.manual_seed(step + 3 + 100_003 * rank)
    both.train()
    sums, seen, looked = torch.zeros(BOOKS + 1, device=DEVICE), 0, time.monotonic()

    def snapshot():
        return {"both": both.state_dict(), "optimisers": [o.state_dict() for o in optimisers], "average": average.values, "step": step}

    def losses_of(inputs, wanted, states, mask):
        logits = logits_of(model, inputs, states, mask)
        return [F.cross_entropy(logits[:, k].float().reshape(-1, SIZE), wanted[:, k].reshape(-1), ignore_index=PAD) for k in range(BOOKS)]

    while (done := run.done(step, args.steps)) < 1:
        run.pause()
        run.agree()
        if run.due():
            run.save(snapshot())
            if run.stopping:
                return
        if time.monotonic() - looked > 20:
            songs.refresh()
            looked = time.monotonic()
        for group in groups:  # full speed, then straight down
            group["lr"] = group["peak"] * min(1, (step + 1) / 60) * min(1, 0.02 + 0.98 * (1 - done) / 0.65)
        frames = args.frames if done < args.short else FRAMES  # short windows first: the beginning of a piece says most
        count = max(1, args.batch * 128 // frames)
        inputs, wanted, tokens, mask, attributes = songs.batch(count, frames)
        kept = (torch.rand(count, device=DEVICE) > 0.15).float()
        with half():
            raw = model.text_encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
            states = model.enc_to_dec_proj(raw) * mask[..., None] * kept[:, None, None]
            losses = losses_of(inputs, wanted, states, mask)
        reading = sum(reading_loss(readers(raw.float(), mask), attributes).values())
        loss = sum(w * v for w, v in zip(BOOK_WEIGHTS.tolist(), losses, strict=True)) + 0.02 * reading
        for optimiser in optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        mean_over_workers([p.grad for g in groups for p in g["params"] if p.grad is not None])
        nn.utils.clip_grad_norm_([*fast, *slow], 1.0)
        for optimiser in optimisers:
            optimiser.step()
        step += 1
        average.update(both, step)
        sums += torch.stack([*losses, reading]).detach()
        seen += 1
        if step % args.log == 0:
            mean = (sums / seen).tolist()
            with torch.no_grad(), half():
                inputs, wanted, tokens, mask, _ = unknown.batch(len(unknown), FRAMES)
                new = losses_of(inputs, wanted, text_states(model, tokens, mask), mask)
            round_all = lambda values: str([round(float(v), 2) for v in values])  # noqa: E731
            run.log(step=step, done=done, songs=len(songs), mean=float(np.mean(mean[:BOOKS])), books=round_all(mean[:BOOKS]), unknown=round_all(new), reading=mean[-1])
            sums.zero_()
            seen = 0
    run.save(snapshot())


# ---------------------------------------------------------------- use


def assemble(run: str, codec_run: str, tokenizer: Tokenizer) -> MusicgenForConditionalGeneration:
    """The averaged weights and the codec as one transformers model."""
    model = MusicgenForConditionalGeneration(model_config(tokenizer.get_vocab_size()))
    values = torch.load(Path(run) / "state.pt", weights_only=False)["average"]
    values = {k: v.cpu().float() if v.dtype.is_floating_point else v.cpu() for k, v in values.items()}
    own = {k[2:]: v for k, v in values.items() if k.startswith("0.") and "embed_positions" not in k}
    missing, unexpected = model.load_state_dict(own, strict=False)
    assert not unexpected and all(m.startswith("audio_encoder") or "embed_positions" in m for m in missing), (missing, unexpected)
    codec, _ = load_codec(codec_run)
    model.audio_encoder.encoder.load_state_dict(codec.encoder.state_dict())
    model.audio_encoder.decoder.load_state_dict(codec.decoder.state_dict())
    for k, layer in enumerate(model.audio_encoder.quantizer.layers):
        layer.codebook.embed.copy_(codec.books.embed[k])
        layer.codebook.embed_avg.copy_(codec.books.embed[k])
        layer.codebook.cluster_size.fill_(1.0)
        layer.codebook.inited.fill_(True)
    settings = model.generation_config
    settings.pad_token_id = settings.bos_token_id = settings.decoder_start_token_id = PAD
    settings.do_sample, settings.guidance_scale, settings.top_k, settings.max_length = True, 3.0, 100, 250 + BOOKS
    model.config.decoder_start_token_id = PAD
    return model.eval()


@torch.no_grad()
def generate(model, tokenizer: Tokenizer, texts: list[str], seconds: float, seed: int, guidance: float = 3.0, top_k: int = 100) -> np.ndarray:
    torch.manual_seed(seed)
    tokens, mask = encode_texts(tokenizer, texts)
    frames = round(seconds * 25)
    audio = model.generate(input_ids=tokens, attention_mask=mask, do_sample=True, top_k=top_k, guidance_scale=guidance,
                           max_length=frames + BOOKS)  # fmt: skip
    return audio[:, 0].float().numpy()


def sample(args) -> None:
    from scipy.io import wavfile

    tokenizer = Tokenizer.from_file(args.tokenizer)
    audio = generate(assemble(args.run, args.codec, tokenizer), tokenizer, [args.prompt], args.seconds, args.seed)[0]
    wavfile.write(args.out, RATE_HZ, (np.clip(audio, -1, 1) * 32767).astype(np.int16))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=("text", "tokens", "train", "sample"))
    for name in ("tokenizer", "run", "pieces", "codec", "out", "tokens", "text", "prompt"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--shards", type=int, default=400, help="tokens: of 60 pieces")
    parser.add_argument("--remove", action="store_true", help="tokens: take the encoded pieces away")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--for-s", type=float, default=0.0, help="train: so many seconds instead of --steps")
    parser.add_argument("--batch", type=int, default=16, help="train: windows of 128 frames a step (half as many of 258)")
    parser.add_argument("--average", type=float, default=0.995, help="train: decay of the averaged weights, which are what is used")
    parser.add_argument("--save-s", type=float, default=180.0)
    parser.add_argument("--log", type=int, default=50)
    parser.add_argument("--workers", type=int, default=1, help="train: processes, one core each")
    parser.add_argument("--begin", help="train: an exported folder to learn on from (asset.py unpack), instead of --text")
    parser.add_argument("--part", default="0/1", help="tokens: this process's share")
    parser.add_argument("--lr", type=float, default=3e-3, help="train: of embeddings and heads (AdamW)")
    parser.add_argument("--muon-lr", type=float, default=0.02, help="train: of the layers' matrices")
    parser.add_argument("--frames", type=int, default=136, help="train: the short windows")
    parser.add_argument("--short", type=float, default=0.4, help="train: the share of steps with short windows")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.for_s and args.workers > 1:
        parser.error("--for-s goes by one process's clock; expected --workers 1, or steps")
    if args.command == "train":
        spread(train, args, args.workers)
    else:
        {"text": train_text, "tokens": make_tokens, "sample": sample}[args.command](args)


if __name__ == "__main__":
    main()
