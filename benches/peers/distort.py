"""Excerpts and what happens to them on their way to a listener: shared by the scripts that measure fingerprints."""

from __future__ import annotations

import pathlib
import subprocess
import tempfile

import numpy as np

RATE = 22_050
"""Excerpts are worked on, and given, as mono float32 at this rate."""


def decode(path: pathlib.Path, rate: int = RATE) -> np.ndarray:
    got = subprocess.run(
        ["ffmpeg", "-v", "quiet", "-nostdin", "-i", path, "-ac", "1", "-ar", str(rate), "-f", "f32le", "-"],
        capture_output=True,
    )
    return np.frombuffer(got.stdout, np.float32)


def _ffmpeg(x: np.ndarray, *options: str, rate: int = RATE) -> np.ndarray:
    """Through filters."""
    got = subprocess.run(
        ["ffmpeg", "-v", "quiet", "-nostdin", "-f", "f32le", "-ar", str(rate), "-ac", "1", "-i", "-", *options,
         "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-"],
        input=x.astype(np.float32).tobytes(), capture_output=True, check=True,
    )  # fmt: skip
    return np.frombuffer(got.stdout, np.float32)


def _codec(x: np.ndarray, suffix: str, *options: str) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / f"x.{suffix}"
        subprocess.run(
            ["ffmpeg", "-v", "quiet", "-nostdin", "-f", "f32le", "-ar", str(RATE), "-ac", "1", "-i", "-", *options, file],
            input=x.astype(np.float32).tobytes(), check=True,
        )  # fmt: skip
        return decode(file)


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))) + 1e-9)


def noise(x: np.ndarray, snr_db: float, rng: np.random.Generator, *, pink: bool) -> np.ndarray:
    n = rng.standard_normal(len(x))
    if pink:  # 1/f in power
        spectrum = np.fft.rfft(n)
        spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
        spectrum[0] = 0
        n = np.fft.irfft(spectrum, len(x))
    return x + (n * (_rms(x) / _rms(n) * 10 ** (-snr_db / 20))).astype(np.float32)


def speed(x: np.ndarray, factor: float) -> np.ndarray:
    """Tape speed: key and tempo together, by a band-limited resampling of ffmpeg's swresample."""
    return _ffmpeg(x, "-af", f"asetrate={round(RATE * factor)},aresample={RATE}:filter_size=64")


def reverb(x: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Exponential noise of that RT60 behind the direct sound, 3 dB more of it than of that."""
    n = int(seconds * RATE)
    tail = rng.standard_normal(n) * 10 ** (-3 * np.arange(n) / n)
    tail *= 10 ** (3 / 20) / np.sqrt(np.sum(tail**2))
    h = np.concatenate([[1.0], np.zeros(int(0.002 * RATE)), tail])
    size = 1 << (len(x) + len(h) - 1).bit_length()
    y = np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(h, size), size)[: len(x)]
    return y.astype(np.float32)


def phone_band(x: np.ndarray) -> np.ndarray:
    return _ffmpeg(x, "-af", "highpass=f=300:p=2,highpass=f=300:p=2,lowpass=f=3400:p=2,lowpass=f=3400:p=2")


def microphone(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Loudspeaker, room and microphone: reverb, band, noise, codec."""
    y = noise(phone_band(reverb(x, 0.6, rng)), 5, rng, pink=True)
    return _codec(y / max(1.0, float(np.abs(y).max())), "mp3", "-b:a", "64k")


# Condition → seconds of the excerpt, and what is done to it.
CONDITIONS = {
    "clean": (10, lambda x, r: x),
    "mp3 64k": (10, lambda x, r: _codec(x, "mp3", "-b:a", "64k")),
    "mp3 24k": (10, lambda x, r: _codec(x, "mp3", "-b:a", "24k")),
    "opus 24k": (10, lambda x, r: _codec(x, "opus", "-c:a", "libopus", "-b:a", "24k")),
    "8 kHz": (10, lambda x, r: _ffmpeg(x, "-af", "aresample=8000,aresample=22050")),
    "eq": (10, lambda x, r: _ffmpeg(x, "-af", "bass=g=8:f=150,treble=g=-8:f=4000,equalizer=f=1000:t=q:w=1:g=-6")),
    "phone band": (10, lambda x, r: phone_band(x)),
    "mastered": (10, lambda x, r: _ffmpeg(
        x, "-af", "bass=g=3:f=100,treble=g=3:f=6000,acompressor=threshold=0.1:ratio=6:attack=5:release=80:makeup=3,alimiter=limit=0.7")),
    "white +10 dB": (10, lambda x, r: noise(x, 10, r, pink=False)),
    "pink +5 dB": (10, lambda x, r: noise(x, 5, r, pink=True)),
    "white 0 dB": (10, lambda x, r: noise(x, 0, r, pink=False)),
    "pink 0 dB": (10, lambda x, r: noise(x, 0, r, pink=True)),
    "white -5 dB": (10, lambda x, r: noise(x, -5, r, pink=False)),
    "pink -5 dB": (10, lambda x, r: noise(x, -5, r, pink=True)),
    "pink 0 dB, 5 s": (5, lambda x, r: noise(x, 0, r, pink=True)),
    **{f"tempo {p:+d} %": (10, lambda x, r, p=p: _ffmpeg(x, "-af", f"rubberband=tempo={1 + p / 100}")) for p in (-4, -2, 2, 4)},
    **{f"pitch {p:+d} st": (10, lambda x, r, p=p: _ffmpeg(x, "-af", f"rubberband=pitch={2 ** (p / 12):.6f}"))
       for p in (-3, -2, -1, 1, 2, 3)},
    **{f"speed {p:+d} %": (10, lambda x, r, p=p: speed(x, 1 + p / 100)) for p in (-10, -4, -2, -1, 1, 2, 4, 10)},
    "reverb 1.5 s": (10, lambda x, r: reverb(x, 1.5, r)),
    "microphone": (10, lambda x, r: microphone(x, r)),
}  # fmt: skip


def factors(condition: str) -> tuple[float, float]:
    """True factors of pitch and tempo."""
    words = condition.split()
    if words[0] == "tempo":
        return 1.0, 1 + int(words[1]) / 100
    if words[0] == "pitch":
        return 2 ** (int(words[1]) / 12), 1.0
    if words[0] == "speed":
        return 1 + int(words[1]) / 100, 1 + int(words[1]) / 100
    return 1.0, 1.0


def excerpt(track: np.ndarray, seconds: float, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Somewhere in the track where there is sound: samples, and where they begin in seconds."""
    length = int(seconds * RATE)
    loud = _rms(track)
    for _ in range(50):
        start = int(rng.integers(0, len(track) - length))
        if _rms(track[start : start + length]) > 0.1 * loud:
            break
    return track[start : start + length], start / RATE
