"""The note bank: every timbre the grammar may play, one array of notes per instrument, 16 kHz mono.

Sources: acoustic timbres from FluidR3Mono GM (Frank Wen, Michael Cowgill; MIT licence; Debian package
fluidr3mono-gm-soundfont), played by fluidsynth at 48 kHz and decimated by 3. The others are additive synthesis with a
time-varying low-pass, J. A. Moorer, "Signal processing aspects of computer music", Proc. IEEE 65 (1977), and two-operator
FM, J. M. Chowning, JAES 21 (1973). Drum voices: decaying sines and filtered noise.

    apt-get download fluidr3mono-gm-soundfont && dpkg -x fluidr3mono-gm-soundfont_*.deb sf
    python bank.py sf/usr/share/fluidr3mono-gm-soundfont/FluidR3Mono_GM.sf3 OUT.npz
"""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.io import wavfile
from scipy.signal import butter, resample_poly, sosfilt

RATE_HZ = 16000

# name: (General MIDI program, lowest note, highest note, seconds held)
SAMPLED = {
    "piano": (0, 36, 96, 3.5),
    "epiano": (4, 36, 91, 3.5),
    "organ": (16, 36, 91, 4.0),
    "steel_guitar": (25, 40, 84, 3.0),
    "clean_guitar": (27, 40, 84, 2.5),
    "dist_guitar": (30, 36, 84, 3.0),
    "acoustic_bass": (32, 28, 60, 2.0),
    "finger_bass": (33, 28, 60, 2.0),
    "harp": (46, 40, 96, 2.5),
    "pizzicato": (45, 36, 96, 1.5),
    "strings": (48, 36, 96, 5.0),
    "choir": (52, 43, 84, 5.0),
    "brass": (61, 41, 84, 2.5),
    "sax": (66, 46, 82, 2.5),
    "flute": (73, 60, 96, 2.5),
}
# General MIDI percussion keys of the kits taken from the soundfont
GM_DRUMS = {
    "kick": 36, "snare": 38, "rim": 37, "clap": 39, "hat": 42, "pedal": 44, "open": 46, "ride": 51, "crash": 49,
    "tom_low": 41, "tom_mid": 45, "tom_high": 48, "tambourine": 54, "shaker": 82,
}  # fmt: skip
KITS = {"standard": 0, "jazz": 32, "power": 16}


def varlen(value: int) -> bytes:
    out = [value & 0x7F]
    while value := value >> 7:
        out.insert(0, (value & 0x7F) | 0x80)
    return bytes(out)


def midi(events: list[tuple[float, bytes]]) -> bytes:
    """A format-0 file at 480 ticks per quarter and 120 bpm: 960 ticks per second."""
    body, now = b"", 0
    for time_s, message in sorted(events, key=lambda e: e[0]):
        tick = round(time_s * 960)
        body, now = body + varlen(tick - now) + message, tick
    body += b"\x00\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, 480) + b"MTrk" + struct.pack(">I", len(body)) + body


def play(font: str, events: list[tuple[float, bytes]], folder: Path) -> np.ndarray:
    (folder / "n.mid").write_bytes(midi(events))
    command = ["fluidsynth", "-niq", "-r", "48000", "-g", "0.5", "-R", "0", "-C", "0", "-T", "wav", "-O", "float",
               "-F", str(folder / "n.wav"), font, str(folder / "n.mid")]  # fmt: skip
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rate, audio = wavfile.read(folder / "n.wav")
    assert rate == 48000
    return resample_poly(audio.mean(axis=1).astype(np.float64), 1, 3)


def sampled(font: str, folder: Path, program: int, low: int, high: int, hold_s: float) -> np.ndarray:
    slot_s = hold_s + 1.5
    events = [(0.0, bytes([0xC0, program]))]
    for index, pitch in enumerate(range(low, high + 1)):
        start = 0.1 + index * slot_s
        events += [(start, bytes([0x90, pitch, 100])), (start + hold_s + 0.02, bytes([0x80, pitch, 0]))]
    audio = play(font, events, folder)
    length, slot, first = round(hold_s * RATE_HZ), round(slot_s * RATE_HZ), round(0.1 * RATE_HZ)
    audio = np.pad(audio, (0, max(0, first + slot * (high - low + 1) - len(audio))))
    return np.stack([audio[first + i * slot :][:length] for i in range(high - low + 1)])


def sampled_kit(font: str, folder: Path, program: int) -> dict[str, np.ndarray]:
    events = [(0.0, bytes([0xC9, program]))]
    for index, key in enumerate(GM_DRUMS.values()):
        events += [(0.1 + 2.5 * index, bytes([0x99, key, 105])), (2.4 + 2.5 * index, bytes([0x89, key, 0]))]
    audio = play(font, events, folder)
    out = {}
    for index, name in enumerate(GM_DRUMS):
        start = round((0.1 + 2.5 * index) * RATE_HZ)
        out[name] = trim(audio[start : start + round(1.5 * RATE_HZ)])
    return out


def trim(audio: np.ndarray) -> np.ndarray:
    """Cuts the tail 60 dB below the peak and fades the last 10 ms."""
    loud = np.nonzero(np.abs(audio) > 1e-3 * np.abs(audio).max())[0]
    audio = audio[: min(len(audio), loud[-1] + 160)].copy()
    audio[-160:] *= np.linspace(1, 0, min(160, len(audio)))
    return audio


def additive(pitch: int, hold_s: float, slope: float, cutoff_hz, odd=False, detune=(0.0,), attack_s=0.003,
             decay_s=None, sustain=1.0, seed=0) -> np.ndarray:  # fmt: skip
    """Σ k^-slope sin(2πkft), each partial through a two-pole low-pass whose corner is a function of time."""
    time = np.arange(round(hold_s * RATE_HZ)) / RATE_HZ
    f0 = 440.0 * 2 ** ((pitch - 69) / 12)
    rng = np.random.default_rng(seed * 1000 + pitch)
    corner = np.broadcast_to(cutoff_hz(time) if callable(cutoff_hz) else np.float64(cutoff_hz), time.shape)
    out = np.zeros_like(time)
    for cents in detune:
        f, phase = f0 * 2 ** (cents / 1200), 0.0 if len(detune) == 1 else rng.uniform(0, 2 * np.pi)
        for k in range(1, int(7600 / f) + 1, 2 if odd else 1):
            gain = k**-slope / (1 + (k * f / corner) ** 2)
            if gain.max() > 1e-3:
                out += gain * np.sin(k * (2 * np.pi * f * time + phase))
    envelope = np.minimum(1, time / attack_s)
    if decay_s:
        envelope = envelope * (sustain + (1 - sustain) * np.exp(-time / decay_s))
    return out * envelope


def synths() -> dict[str, tuple[int, np.ndarray]]:
    def sweep(low, high, tau):
        return lambda t: low + (high - low) * np.exp(-t / tau)

    def fm(pitch, hold_s, ratio, index, tau):
        t = np.arange(round(hold_s * RATE_HZ)) / RATE_HZ
        f = 440.0 * 2 ** ((pitch - 69) / 12)
        decay = np.exp(-t / tau)
        return decay * np.sin(2 * np.pi * f * t + index * decay * np.sin(2 * np.pi * ratio * f * t)) * np.minimum(1, t / 0.002)

    def each(low, high, make):
        return low, np.stack([make(p) for p in range(low, high + 1)])

    wide = (-7.0, 0.0, 6.0)
    return {
        "warm_pad": each(36, 84, lambda p: additive(p, 6.0, 1.0, sweep(900, 400, 1.5), detune=wide, attack_s=0.35, seed=1)),
        "saw_pad": each(36, 84, lambda p: additive(p, 6.0, 1.0, 2600, detune=wide, attack_s=0.12, seed=2)),
        "saw_lead": each(48, 96, lambda p: additive(p, 2.5, 1.0, sweep(2500, 6000, 0.25), detune=(-5.0, 5.0), attack_s=0.01, seed=3)),
        "stab": each(40, 88, lambda p: additive(p, 1.2, 1.0, sweep(500, 5000, 0.09), detune=(-6.0, 6.0), decay_s=0.25, sustain=0.1, seed=4)),
        "pluck": each(43, 96, lambda p: additive(p, 1.5, 1.0, sweep(400, 5500, 0.10), decay_s=0.30, sustain=0.0)),
        "bell": each(60, 96, lambda p: fm(p, 2.5, 3.5, 1.6, 0.7)),
        "square": each(48, 96, lambda p: additive(p, 1.5, 1.0, 12000, odd=True)),
        "pulse": each(48, 96, lambda p: additive(p, 1.0, 0.8, 12000, decay_s=0.25, sustain=0.3)),
        "chip_bass": each(28, 64, lambda p: additive(p, 1.5, 2.0, 8000, odd=True)),
        "saw_bass": each(28, 60, lambda p: additive(p, 1.5, 1.0, sweep(500, 2200, 0.15), detune=(-3.0, 3.0), seed=5)),
        "acid_bass": each(28, 60, lambda p: additive(p, 1.0, 0.9, sweep(250, 3500, 0.08), decay_s=0.5, sustain=0.2)),
        "sub_bass": each(28, 60, lambda p: additive(p, 4.0, 2.2, 300, attack_s=0.02)),
    }  # fmt: skip


def noise(seconds: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))


def band(audio: np.ndarray, kind: str, corner_hz) -> np.ndarray:
    return sosfilt(butter(2, corner_hz, kind, fs=RATE_HZ, output="sos"), audio)


def decaying(seconds: float, tau_s: float) -> np.ndarray:
    return np.exp(-np.arange(round(seconds * RATE_HZ)) / RATE_HZ / tau_s)


def boom(start_hz: float, end_hz: float, pitch_tau_s: float, tau_s: float, seconds: float, click=0.2) -> np.ndarray:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    frequency = end_hz + (start_hz - end_hz) * np.exp(-t / pitch_tau_s)
    body = np.sin(2 * np.pi * np.cumsum(frequency) / RATE_HZ) * np.exp(-t / tau_s)
    body[:80] += click * noise(80 / RATE_HZ, 9) * np.linspace(1, 0, 80)
    return body


def machine_kit(kick, snare_tone_hz, snare_tau_s, hat_hz) -> dict[str, np.ndarray]:
    snare_len = max(0.2, 4 * snare_tau_s)
    clap_env = sum(np.roll(decaying(0.3, 0.012), s) * (np.arange(4800) >= s) for s in (0, 160, 320)) + decaying(0.3, 0.07)
    hat = band(noise(0.5, 1), "high", hat_hz)
    kit = {
        "kick": boom(*kick),
        "snare": 0.5 * boom(snare_tone_hz * 1.5, snare_tone_hz, 0.02, 0.06, snare_len, 0)
        + 0.5 * band(noise(snare_len, 2), "high", 1200) * decaying(snare_len, snare_tau_s),
        "rim": band(noise(0.06, 3), "band", (1500, 4000)) * decaying(0.06, 0.012),
        "clap": band(noise(0.3, 4), "band", (900, 3500)) * clap_env,
        "hat": hat[:1280] * decaying(0.08, 0.018),
        "pedal": hat[:960] * decaying(0.06, 0.012),
        "open": hat[:5600] * decaying(0.35, 0.12),
        "ride": band(noise(0.8, 5), "high", 5000) * decaying(0.8, 0.25),
        "crash": band(noise(1.4, 6), "high", 3000) * decaying(1.4, 0.4),
        "tom_low": boom(140, 80, 0.08, 0.15, 0.5, 0.05),
        "tom_mid": boom(190, 115, 0.08, 0.13, 0.45, 0.05),
        "tom_high": boom(250, 160, 0.08, 0.11, 0.4, 0.05),
        "tambourine": band(noise(0.15, 7), "high", 5500) * decaying(0.15, 0.04),
        "shaker": band(noise(0.09, 8), "band", (3500, 7000)) * np.hanning(1440),
    }
    return {name: trim(audio) for name, audio in kit.items()}


def chip_kit() -> dict[str, np.ndarray]:
    """Noise held for n samples, as a shift register clocked slowly sounds, and falling squares."""

    def held(seconds, hold, tau, seed):
        raw = np.sign(noise(seconds / hold, seed))
        return np.repeat(raw, hold)[: round(seconds * RATE_HZ)] * decaying(seconds, tau)[: len(raw) * hold]

    kit = machine_kit((260, 55, 0.03, 0.07, 0.25, 0.0), 200, 0.05, 6000)
    square = np.sign(kit["kick"]) * np.abs(kit["kick"]) ** 0.5
    kit.update(kick=square, snare=held(0.18, 3, 0.06, 1), hat=held(0.05, 1, 0.015, 2), open=held(0.2, 1, 0.08, 3),
               crash=held(0.6, 2, 0.2, 4), clap=held(0.15, 2, 0.04, 5))  # fmt: skip
    return {name: trim(audio) for name, audio in kit.items()}


def build(font: str) -> dict[str, np.ndarray]:
    """Arrays named `note/INSTRUMENT`, `low/INSTRUMENT` and `drum/KIT/VOICE`, int16, notes at equal A-weighted-ish level."""
    out: dict[str, np.ndarray] = {}

    def keep(name: str, low: int, notes: np.ndarray) -> None:
        # one gain per note, smoothed over the range: equal energy in the first 0.4 s, so that no register jumps out
        level = np.sqrt((notes[:, : round(0.4 * RATE_HZ)] ** 2).mean(axis=1)) + 1e-9
        notes = notes * (0.12 / level)[:, None]
        notes *= np.minimum(1, 0.95 / np.abs(notes).max(axis=1))[:, None]
        out[f"note/{name}"], out[f"low/{name}"] = np.round(notes * 32767).astype(np.int16), np.int16(low)

    for name, (low, notes) in synths().items():
        keep(name, low, notes)
    with tempfile.TemporaryDirectory() as folder:
        for name, (program, low, high, hold_s) in SAMPLED.items():
            keep(name, low, sampled(font, Path(folder), program, low, high, hold_s))
        kits = {kit: sampled_kit(font, Path(folder), program) for kit, program in KITS.items()}
    kits["house"] = machine_kit((170, 48, 0.03, 0.13, 0.4, 0.3), 190, 0.07, 6000)
    kits["soft"] = machine_kit((110, 50, 0.04, 0.16, 0.4, 0.05), 170, 0.05, 5000)
    kits["gated"] = machine_kit((150, 52, 0.03, 0.12, 0.4, 0.2), 175, 0.14, 6000)
    kits["chip"] = chip_kit()
    for kit, voices in kits.items():
        for voice, audio in voices.items():
            peak = 0.9 if voice in ("kick", "snare", "clap", "tom_low", "tom_mid", "tom_high") else 0.5
            out[f"drum/{kit}/{voice}"] = np.round(audio / np.abs(audio).max() * peak * 32767).astype(np.int16)
    return out


if __name__ == "__main__":
    arrays = build(sys.argv[1])
    np.savez(sys.argv[2], **arrays)
    print(len(arrays), "arrays", sum(a.nbytes for a in arrays.values()) >> 20, "MB")
