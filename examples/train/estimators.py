"""What can be measured of a clip without learned parts: tempo, diatonic set, drums, brightness.

Sources: tempo from the autocorrelation of the spectral flux, summed over a comb of periods (E. Scheirer, JASA 103, 1998;
S. Dixon, "Onset detection revisited", 2006); pitch classes from spectral peaks (E. Gómez, "Tonal description of music audio
signals", 2006); harmonic and percussive parts by median filters (D. FitzGerald, DAFx 2010).

    python estimators.py BANK.npz [CLIPS]      # ceilings: the estimators against the score, on renders
"""

from __future__ import annotations

import sys

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

RATE_HZ = 16000


def spectrogram(audio: np.ndarray, window: int, hop: int) -> np.ndarray:
    """Magnitudes (frames, bins); a full-scale sine reads about 0.5."""
    hann = np.hanning(window + 1)[:-1].astype(np.float32)
    audio = np.pad(audio.astype(np.float32), window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(audio, window)[::hop]
    return np.abs(np.fft.rfft(frames * hann, axis=1)) / hann.sum()


def bands(power: np.ndarray, count: int = 32, low_hz: float = 60.0) -> np.ndarray:
    """Sums bins into `count` bands of equal width on a logarithmic scale."""
    edges = np.geomspace(low_hz, RATE_HZ / 2, count + 1) / (RATE_HZ / 2) * (power.shape[1] - 1)
    edges = np.maximum.accumulate(np.maximum(np.round(edges).astype(int), np.arange(count + 1)))
    return np.stack([power[:, a : max(b, a + 1)].mean(1) for a, b in zip(edges[:-1], edges[1:], strict=True)], axis=1)


def onsets(audio: np.ndarray) -> np.ndarray:
    """Spectral flux every 10 ms: the rise of each band's compressed level, summed, less its local mean."""
    level = np.log1p(1000 * bands(spectrogram(audio, 512, 160)))
    flux = np.maximum(0, level[2:] - level[:-2]).sum(1)
    return flux - uniform_filter1d(flux, 101)


def tempo(audio: np.ndarray) -> float:
    """Beats a minute, 50 to 190. The octave is a guess: a broad prior around 110 decides."""
    flux = onsets(audio)
    size = 1 << int(np.ceil(np.log2(2 * len(flux))))
    spectrum = np.fft.rfft(flux, size)
    acf = np.fft.irfft(np.abs(spectrum) ** 2, size)[: len(flux)]
    acf /= np.maximum(len(flux) - np.arange(len(flux)), 100)
    acf = np.maximum(acf / acf[0], -0.1)
    bpm = np.arange(50, 190.1, 0.25)
    period = 6000.0 / bpm
    score = np.zeros_like(bpm)
    for multiple, weight in ((1, 1.0), (2, 0.8), (3, 0.4), (4, 0.8), (0.5, 0.3)):
        lag = period * multiple
        ok = lag < len(acf) - 2
        whole = np.minimum(lag.astype(int), len(acf) - 2)
        part = lag - whole
        value = acf[whole] * (1 - part) + acf[whole + 1] * part
        score += np.where(ok, weight * value, 0)
    score *= np.exp(-0.5 * (np.log2(bpm / 110) / 0.9) ** 2)
    return float(bpm[np.argmax(score)])


def same_tempo(estimate: float, truth: float, tolerance: float = 0.04, octaves: bool = True) -> bool:
    ratios = (0.5, 1.0, 2.0) if octaves else (1.0,)
    return any(abs(estimate / (truth * r) - 1) <= tolerance for r in ratios)


def chroma(audio: np.ndarray) -> np.ndarray:
    """Energy of the 12 pitch classes from spectral peaks between 60 Hz and 2 kHz; partials 3 and 5 are partly explained away."""
    magnitude = spectrogram(audio, 4096, 1024)
    top = int(2000 / RATE_HZ * 4096)
    log = np.log(magnitude[:, : top + 2] + 1e-7)
    middle = log[:, 1:-1]
    peak = (middle > log[:, :-2]) & (middle >= log[:, 2:])
    background = median_filter(middle, size=(1, 41))
    peak &= middle > background + 1.0
    frame, index = np.nonzero(peak)
    index = index + 1
    a, b, c = log[frame, index - 1], log[frame, index], log[frame, index + 1]
    shift = 0.5 * (a - c) / (a - 2 * b + c - 1e-9)
    frequency = (index + shift) * RATE_HZ / 4096
    keep = frequency > 60
    frame, frequency, level = frame[keep], frequency[keep], np.exp(b[keep])
    pitch = 69 + 12 * np.log2(frequency / 440)
    note = np.round(pitch).astype(int)
    weight = level**0.5 * np.exp(-(((pitch - note) / 0.25) ** 2))
    salience = np.zeros((magnitude.shape[0], 128))
    np.add.at(salience, (frame, np.clip(note, 0, 127)), weight)
    # a note may be the third or fifth partial of one below: take off what the lower note would bring along
    clean = salience.copy()
    clean[:, 19:] -= 0.5 * salience[:, :-19]
    clean[:, 28:] -= 0.35 * salience[:, :-28]
    clean = np.maximum(clean, 0)
    clean /= clean.sum(1, keepdims=True) + 0.02
    total = clean.sum(0)
    return np.array([total[c::12].sum() for c in range(12)]) / (total.sum() + 1e-9)


MAJOR = np.isin(np.arange(12), (0, 2, 4, 5, 7, 9, 11)).astype(float)


def diatonic_set(audio: np.ndarray) -> int:
    """Tonic of the major scale whose seven notes hold most of the chroma (the relative minor has the same set)."""
    value = np.sqrt(chroma(audio))
    return int(np.argmax([value @ np.roll(MAJOR, k) for k in range(12)]))


def set_of(root: int, mode: str) -> int:
    return root if mode == "major" else (root + 3) % 12


def set_distance(a: int, b: int) -> int:
    """Steps on the circle of fifths, 0 to 6; sets one step apart share six of seven notes."""
    steps = (a - b) * 7 % 12
    return min(steps, 12 - steps)


def floor_score_db(audio: np.ndarray) -> float:
    """How clearly noise is struck: the floor between the partials (the lowest quarter of the bins of a region) must jump, and
    come near to the region's mean power, as a drum makes it do and a pitched note does not. In decibels over a limit."""
    magnitude = spectrogram(audio, 1024, 160)
    level, width_hz = 20 * np.log10(magnitude + 1e-7), RATE_HZ / 1024

    def floor_and_mean(low_hz, high_hz):
        region = slice(int(low_hz / width_hz), int(high_hz / width_hz))
        return np.percentile(level[:, region], 25, axis=1), 10 * np.log10((magnitude[:, region] ** 2).mean() + 1e-14)

    count = max(1, int(0.06 * len(level)))  # a drum stroke every 16 frames of 10 ms at least
    floor, mean = floor_and_mean(1200, 3500)
    top = np.sort(floor)[-count:].mean()
    middle = min(top - mean + 8.0, top - np.median(floor) - 8.0) - 0.5
    floor, mean = floor_and_mean(5500, 7700)
    rise = floor[5:] - np.minimum(floor[:-5], floor[2:-3])
    treble = np.sort(np.minimum(rise - 6.0, floor[5:] - mean + 7.0))[-count:].mean() - 1.5
    return float(max(middle, treble))


def stroke_score_db(audio: np.ndarray) -> float:
    """How much weight the strokes have: the percussive part (what is broad rather than long) of the strongest 5 ms frames against the
    harmonic part, above 2 kHz and at 150 to 600 Hz, and the strongest frames below 150 Hz against the whole; a sum of decibels. The
    noise that a codec of few bits adds to every attack moves the floor, but not this."""
    power = spectrogram(audio, 512, 80) ** 2
    root, hz = np.sqrt(power), np.arange(257) * RATE_HZ / 512
    long, broad = median_filter(root, size=(41, 1)), median_filter(root, size=(1, 17))
    percussive = power * broad**2 / (broad**2 + long**2 + 1e-14)

    def strongest(part: np.ndarray, share: float) -> float:
        return np.sort(part)[-int(share * len(part)) :].mean()

    decibels = lambda a, b: 10 * np.log10(a / (b + 1e-12) + 1e-9)  # noqa: E731
    score = 0.0
    for low, high in ((2000, 7800), (150, 600)):
        band = (hz >= low) & (hz < high)
        score += decibels(strongest(percussive[:, band].sum(1), 0.04), (power - percussive)[:, band].sum(1).mean())
    band = (hz >= 30) & (hz < 150)
    return float(score + decibels(strongest(power[:, band].sum(1), 0.05), power.sum(1).mean()))


FLOOR_DB, STROKE_DB = 1.25, 12.0


def drums_present(audio: np.ndarray) -> bool:
    return floor_score_db(audio) > FLOOR_DB and stroke_score_db(audio) > STROKE_DB


def brightness(audio: np.ndarray) -> float:
    """Spectral centroid of the mean power spectrum's root, Hz."""
    magnitude = np.sqrt((spectrogram(audio, 1024, 512) ** 2).mean(0))
    hz = np.fft.rfftfreq(1024, 1 / RATE_HZ)
    return float((magnitude * hz).sum() / (magnitude.sum() + 1e-12))


if __name__ == "__main__":
    from collections import defaultdict

    from music import STYLES, Bank, clip, draw, render

    bank, count = Bank(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 240
    by_style = defaultdict(list)
    for seed in range(count):
        a, audio, _ = clip(80_000_000 + seed, bank, 10.0, "any")
        found = tempo(audio)
        distance = set_distance(diatonic_set(audio), set_of(a.root, a.mode))
        by_style[a.style].append((same_tempo(found, a.bpm), same_tempo(found, a.bpm, octaves=False), distance == 0, distance <= 1,
                                  drums_present(audio), a.drums))  # fmt: skip
    rows = [r for group in by_style.values() for r in group]
    print(f"{'':12} tempo strict  set ≤fifth")
    for style, group in [*sorted(by_style.items()), ("all", rows)]:
        print(f"{style:12}", *(f"{np.mean([r[i] for r in group]):6.2f}" for i in range(4)), len(group))
    hits = defaultdict(list)  # with and without drums in equal parts, whatever the style is used to
    for seed in range(count):
        style = list(STYLES)[seed % len(STYLES)]
        a, audio, _ = clip(81_000_000 + seed, bank, 10.0, "any", style=style, drums=bool(seed // len(STYLES) % 2))
        hits[style].append((floor_score_db(audio), stroke_score_db(audio), a.drums))
    values = np.array([h for group in hits.values() for h in group])
    right = lambda group, stroke: np.mean([(f > FLOOR_DB and v > stroke) == bool(d) for f, v, d in group])  # noqa: E731
    best = max(np.arange(0, 20, 0.5), key=lambda t: right(values, t))
    print(f"drums: {right(values, STROKE_DB):.3f}; best threshold {best}: {right(values, best):.3f};",
          *(f"{style} {right(group, STROKE_DB):.2f}" for style, group in sorted(hits.items())))  # fmt: skip
    pairs = []
    for seed in range(40):
        a = draw(70_000_000 + seed, "any", tone="dark")
        dark = brightness(render(a, bank, 6.0))
        a.tone = "bright"
        pairs.append(dark < brightness(render(a, bank, 6.0)))
    print("dark < bright, same piece:", np.mean(pairs))
