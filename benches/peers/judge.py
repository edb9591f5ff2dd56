"""The independent judge: loudness, true peak, residual, spectrum and distortion, all in float64.

Sources: ITU-R BS.1770-4 (K-weighting, gating, Annex 2 true peak); Kaiser & Schafer 1980 (the window of the interpolator).
It shares no code with the library it judges, nor with a peer.

    python benches/peers/judge.py FILE.wav [--ref IN.wav] [--json]
    python benches/peers/judge.py --self-test
"""

from __future__ import annotations

import argparse
import json
import math
import sys

import numpy as np
import soundfile
from scipy import fft, signal

# ---------------------------------------------------------------------------------------------------------------------
# Loudness, BS.1770-4


def k_weighting(rate: int) -> np.ndarray:
    """The two filters of BS.1770-4 as second-order sections, derived for any rate from their analogue parameters."""

    def section(f0: float, q: float, vh: float, vb: float, vl: float) -> list[float]:
        k = math.tan(math.pi * f0 / rate)
        a0 = 1 + k / q + k * k
        return [
            (vh + vb * k / q + vl * k * k) / a0,
            2 * (vl * k * k - vh) / a0,
            (vh - vb * k / q + vl * k * k) / a0,
            1.0,
            2 * (k * k - 1) / a0,
            (1 - k / q + k * k) / a0,
        ]

    vh = 10 ** (3.999843853973347 / 20)
    shelf = section(1681.974450955533, 0.7071752369554196, vh, vh**0.4996667741545416, 1.0)
    high_pass = section(38.13547087602444, 0.5003270373238773, 1.0, 0.0, 0.0)
    # The standard writes the high-pass with the numerator 1, -2, 1, not divided by a0.
    high_pass[:3] = [1.0, -2.0, 1.0]
    return np.array([shelf, high_pass])


def block_powers(audio: np.ndarray, rate: int) -> np.ndarray:
    """Mean square of each 400 ms gating block (75 % overlap), summed over the channels (mono or stereo: weights of 1)."""
    weighted = signal.sosfilt(k_weighting(rate), audio, axis=0)
    energy = np.concatenate([[0.0], np.cumsum(np.sum(weighted * weighted, axis=1))])
    size = int(round(0.4 * rate))
    starts = np.round(np.arange(0, max(0, len(audio) - size) + 1, rate / 10)).astype(int)
    starts = starts[starts + size <= len(audio)]
    return (energy[starts + size] - energy[starts]) / size


def gated_lufs(powers: np.ndarray) -> float:
    """Integrated loudness of gating blocks, in LUFS; −inf when no block passes the absolute gate."""
    loud = powers[powers > 10 ** ((-70 + 0.691) / 10)]
    if not len(loud):
        return -math.inf
    loud = loud[loud > np.mean(loud) * 0.1]
    return -0.691 + 10 * math.log10(float(np.mean(loud)))


def lufs(audio: np.ndarray, rate: int) -> float:
    """Integrated loudness, in LUFS."""
    return gated_lufs(block_powers(audio, rate))


# ---------------------------------------------------------------------------------------------------------------------
# True peak: 16 phases of 128 taps, then a parabola through the highest three points

PHASES = 16
TAPS = 128
BETA = 11.0


def interpolator() -> np.ndarray:
    """Row p gives the signal p/16 of a sample after sample n, from the samples n−63 … n+64."""
    k = np.arange(TAPS) - (TAPS // 2 - 1)
    u = k[None, :] - np.arange(PHASES)[:, None] / PHASES
    window = np.i0(BETA * np.sqrt(np.clip(1 - (u / (TAPS / 2)) ** 2, 0, None))) / np.i0(BETA)
    bank = np.sinc(u) * window
    return bank / np.sum(bank, axis=1, keepdims=True)


BANK = interpolator()
# A band-limited signal cannot rise between the points of a 4× grid by more than 1/cos(π/8), 0.69 dB; 1 dB is taken.
COARSE_MARGIN = 10 ** (-1.0 / 20)


def _channel_true_peak(x: np.ndarray) -> float:
    """Linear true peak of one channel. The coarse 4× grid finds where the exact 16× one has to be computed."""
    before, after = TAPS // 2 - 1, TAPS // 2
    padded = np.concatenate([np.zeros(TAPS), x, np.zeros(TAPS)])
    # One convolution over the whole channel: no block cuts, so no cut can look like a peak.
    coarse = np.abs(padded)
    for phase in (PHASES // 4, PHASES // 2, 3 * PHASES // 4):
        taps = BANK[phase][::-1]
        line = np.abs(signal.oaconvolve(padded, taps, mode="full")[after : after + len(padded)])
        np.maximum(coarse, line, out=coarse)
    highest = float(np.max(coarse))
    if highest == 0.0:
        return 0.0
    near = np.maximum(coarse, np.maximum(np.roll(coarse, 1), np.roll(coarse, -1)))
    where = np.flatnonzero(near >= highest * COARSE_MARGIN)
    where = where[(where > before) & (where < len(padded) - after - 1)]
    windows = np.lib.stride_tricks.sliding_window_view(padded, TAPS)
    best = highest
    for some in np.array_split(where, max(1, len(where) // 20000)):
        fine = np.abs(windows[some - before] @ BANK.T)  # (places, phases): [n, n+1) of each place
        best = max(best, float(np.max(fine)))
        # The parabola: a grid of 16 can read up to 0.035 dB low at 20 kHz and 44.1 kHz.
        last = np.abs(windows[some - 1 - before] @ BANK[-1])
        first = np.abs(windows[some + 1 - before] @ BANK[0])
        line = np.concatenate([last[:, None], fine, first[:, None]], axis=1)
        left, middle, right = line[:, :-2], line[:, 1:-1], line[:, 2:]
        peak = (middle >= left) & (middle >= right) & (middle > best * 0.99)
        if np.any(peak):
            a, b, c = left[peak], middle[peak], right[peak]
            bend = a - 2 * b + c
            bend[bend == 0] = -1e-300
            top = b - (a - c) ** 2 / (8 * bend)
            best = max(best, float(np.max(top)))
    return best


def true_peak(audio: np.ndarray) -> float:
    """Highest true peak over the channels, in dBTP."""
    peak = max(_channel_true_peak(np.ascontiguousarray(audio[:, c], dtype=np.float64)) for c in range(audio.shape[1]))
    return 20 * math.log10(peak) if peak > 0 else -math.inf


def overs(audio: np.ndarray, ceiling_db: float) -> float:
    """By how many dB the true peak exceeds the ceiling; negative is room left."""
    return true_peak(audio) - ceiling_db


# ---------------------------------------------------------------------------------------------------------------------
# What a processor took away or added


def latency(out: np.ndarray, ref: np.ndarray, longest: int = 48000) -> int:
    """By how many frames `out` lags behind `ref`, by cross-correlation of the sums of the channels."""
    n = min(len(out), len(ref))
    a, b = np.sum(out[:n], axis=1), np.sum(ref[:n], axis=1)
    if n > 1_500_000:  # half a minute in the middle is enough
        start = n // 2 - 700_000
        a, b = a[start : start + 1_400_000], b[start : start + 1_400_000]
    size = fft.next_fast_len(2 * len(a), real=True)
    cross = fft.irfft(fft.rfft(a, size) * np.conj(fft.rfft(b, size)), size)
    longest = min(longest, len(a) - 1)
    lags = np.concatenate([np.arange(0, longest + 1), np.arange(-longest, 0)])
    return int(lags[np.argmax(np.abs(cross[lags]))])


def align(out: np.ndarray, ref: np.ndarray, lag: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The two cut to what they have in common once the latency is taken away."""
    lag = latency(out, ref) if lag is None else lag
    out, ref = (out[lag:], ref) if lag >= 0 else (out, ref[-lag:])
    n = min(len(out), len(ref))
    return out[:n], ref[:n]


def residual(out: np.ndarray, ref: np.ndarray, rate: int) -> dict[str, float]:
    """What is not the input: RMS of out − g·in in dB re out.

    `residual_db` has one g (least squares) for the whole file. `residual_fast_db` has a g per 100 ms (Hann windows, half
    overlapped), so that slow gain riding, which is no distortion, is not counted.
    """
    lag = latency(out, ref)
    out, ref = align(out, ref, lag)
    power = float(np.sum(out * out))
    if power == 0:
        return {"latency": lag, "gain_db": -math.inf, "residual_db": math.inf, "residual_fast_db": math.inf}
    gain = float(np.sum(out * ref) / np.sum(ref * ref))
    rest = float(np.sum((out - gain * ref) ** 2))

    half = max(1, int(0.05 * rate))
    count = len(out) // half - 1
    fast = math.nan
    if count > 0:
        n = (count + 1) * half
        window = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(2 * half) + 0.5) / (2 * half))

        def sums(values: np.ndarray) -> np.ndarray:
            halves = values[:n].reshape(count + 1, half)
            return halves[:-1] @ window[:half] + halves[1:] @ window[half:]

        cross, own = sums(np.sum(out * ref, axis=1)), sums(np.sum(ref * ref, axis=1))
        gains = np.where(own > 0, cross / np.maximum(own, 1e-300), gain)
        # The windows sum to one, so the gains interpolate smoothly from one to the next.
        steps = np.concatenate([gains[:1], gains, gains[-1:]])
        rise = window[:half]
        curve = (steps[:-1, None] * (1 - rise) + steps[1:, None] * rise).reshape(-1)[:n]
        fast = float(np.sum((out[:n] - curve[:, None] * ref[:n]) ** 2))
        fast = 10 * math.log10(max(fast / float(np.sum(out[:n] ** 2)), 1e-30))
    return {
        "latency": lag,
        "gain_db": 20 * math.log10(abs(gain)) if gain else -math.inf,
        "residual_db": 10 * math.log10(max(rest, 1e-30 * power) / power),
        "residual_fast_db": fast,
    }


def third_octaves(audio: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """1/3-octave levels of the sum of the channels' powers: centres in Hz (25 Hz … 20 kHz) and dB re full scale."""
    size = 16384
    frequency, density = signal.welch(audio, rate, nperseg=size, axis=0, scaling="density")
    power = np.sum(density, axis=1) * (frequency[1] - frequency[0])
    centres = 1000.0 * 2.0 ** (np.arange(-16, 14) / 3)
    centres = centres[centres * 2 ** (1 / 6) < rate / 2]
    levels = [
        10 * math.log10(max(1e-30, float(np.sum(power[(frequency >= c * 2 ** (-1 / 6)) & (frequency < c * 2 ** (1 / 6))]))))
        for c in centres
    ]
    return centres, np.array(levels)


def shape_error(out: np.ndarray, ref: np.ndarray, rate: int) -> float:
    """RMS difference of two 1/3-octave shapes (their mean difference removed), 40 Hz … 16 kHz, in dB."""
    centres, a = third_octaves(out, rate)
    _, b = third_octaves(ref, rate)
    keep = (centres >= 40) & (centres <= 16000)
    difference = (a - b)[keep]
    return float(np.sqrt(np.mean((difference - np.mean(difference)) ** 2)))


# ---------------------------------------------------------------------------------------------------------------------
# Tones


def spectrum(x: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Power spectrum under a Blackman–Harris-like Kaiser window (β 38, side lobes under −290 dB) and its frequencies."""
    window = signal.windows.kaiser(len(x), 38.0)
    return np.fft.rfftfreq(len(x), 1 / rate), np.abs(np.fft.rfft(x * window)) ** 2


def tone_lines(x: np.ndarray, rate: int, tone_hz: float) -> dict[str, float]:
    """Of a signal that should be a tone with harmonics: THD (harmonics 2 … within the band) and alias (everything else)
    between 20 Hz and 20 kHz, both in dB re the tone."""
    frequency, power = spectrum(x, rate)
    width = 16 * rate / len(x)  # half the main lobe, in Hz, and a little

    def around(f: float) -> np.ndarray:
        return np.abs(frequency - f) <= width

    fundamental = float(np.sum(power[around(tone_hz)]))
    band = (frequency >= 20) & (frequency <= 20000)
    harmonic = np.zeros(len(frequency), bool)
    for n in range(2, int(rate / 2 / tone_hz) + 1):
        harmonic |= around(n * tone_hz)
    own = around(tone_hz)
    thd = float(np.sum(power[harmonic & band & ~own]))
    alias = float(np.sum(power[band & ~harmonic & ~own & (frequency > width)]))

    def db(value: float) -> float:
        return 10 * math.log10(max(value, 1e-40) / fundamental)

    return {"thd_db": db(thd), "alias_db": db(alias)}


# ---------------------------------------------------------------------------------------------------------------------


def read(path: str) -> tuple[np.ndarray, int]:
    """A file as float64 (frames, channels) and its rate."""
    audio, rate = soundfile.read(path, dtype="float64", always_2d=True)
    return audio, rate


def judge(path: str, ref: str | None = None) -> dict[str, float]:
    """Everything about one processed file; with `ref`, also what differs from it."""
    audio, rate = read(path)
    result: dict[str, float] = {
        "lufs": lufs(audio, rate),
        "true_peak_dbtp": true_peak(audio),
        "sample_peak_dbfs": 20 * math.log10(max(1e-30, float(np.max(np.abs(audio), initial=0)))),
        "rms_dbfs": 10 * math.log10(max(1e-30, float(np.mean(audio * audio)))),
        "seconds": len(audio) / rate,
    }
    if ref is not None:
        other, other_rate = read(ref)
        if other_rate != rate:
            raise SystemExit(f"{path} has {rate} Hz, {ref} has {other_rate} Hz; compare files of one rate")
        result |= residual(audio, other, rate)
        result["shape_error_db"] = shape_error(audio, other, rate)
    return result


def self_test() -> None:
    """Checks the judge on signals whose answers are known on paper."""
    worst = 0.0
    for rate in (44100, 48000):
        for f in (60.0, 997.0, 5000.3, 11025.0, 12000.0, 15000.7, 18000.1, 19999.0):
            for phase in (0.0, 0.4, 1.1):
                t = np.arange(rate) / rate
                fade = np.clip(np.minimum(t, 1 - t) / 0.05, 0, 1)
                x = 0.5 * np.sin(2 * np.pi * f * t + phase) * (0.5 - 0.5 * np.cos(np.pi * fade))
                error = true_peak(x[:, None]) - 20 * math.log10(0.5)
                worst = max(worst, abs(error))
                assert abs(error) < 0.002, (rate, f, phase, error)
    worst_click = 0.0
    for offset in np.arange(64) / 64:  # a band-limited click whose top lies anywhere between two samples
        u = np.arange(400) - 200 - offset
        click = np.sinc(0.9 * u) * np.exp(-((u / 60) ** 2))
        worst_click = max(worst_click, abs(true_peak(click[:, None])))
    print(f"true peak of a click at 64 places between two samples: worst error {worst_click:.5f} dB")
    assert worst_click < 0.002
    print(f"true peak of tapered sines: worst error {worst:.5f} dB")
    rate = 48000
    rng = np.random.default_rng(1)
    noise = signal.sosfilt(signal.butter(8, 16000, fs=rate, output="sos"), rng.standard_normal((10 * rate, 2)), axis=0) * 0.1
    exact = max(
        float(np.max(np.abs(signal.resample(noise[:, c], len(noise) * 32)))) for c in range(2)
    )
    error = true_peak(noise) - 20 * math.log10(exact)
    print(f"true peak of noise to 16 kHz against a 32x FFT: {error:+.5f} dB")
    assert abs(error) < 0.005
    t = np.arange(20 * rate) / rate
    sine = np.sin(2 * np.pi * 1000 * t)
    stereo = 10 ** (-23 / 20) * np.stack([sine, sine], axis=1)
    value = lufs(stereo, rate)
    print(f"EBU Tech 3341 case 1: {value:.4f} LUFS")
    assert abs(value + 23) < 0.1
    levels = np.concatenate([np.full(10 * rate, -36.0), np.full(60 * rate, -23.0), np.full(10 * rate, -36.0)])
    t = np.arange(len(levels)) / rate
    case3 = (10 ** (levels / 20) * np.sin(2 * np.pi * 1000 * t))[:, None].repeat(2, axis=1)
    value = lufs(case3, rate)
    print(f"EBU Tech 3341 case 3: {value:.4f} LUFS")
    assert abs(value + 23) < 0.1
    late = np.concatenate([np.zeros((161, 2)), 0.7 * noise])[: len(noise)]
    got = residual(late, noise, rate)
    print(f"latency {got['latency']}, gain {got['gain_db']:.3f} dB, residual {got['residual_db']:.0f} dB")
    assert got["latency"] == 161 and got["residual_db"] < -250
    dirty = noise + 0.001 * noise.std() * rng.standard_normal(noise.shape)
    got = residual(dirty, noise, rate)
    print(f"residual of -60 dB noise: {got['residual_db']:.2f} dB, fast {got['residual_fast_db']:.2f} dB")
    assert abs(got["residual_db"] + 60) < 0.2 and abs(got["residual_fast_db"] + 60) < 0.2
    print("judge: all good")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="processed files")
    parser.add_argument("--ref", help="what went in, for latency, gain, residual and shape")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--self-test", action="store_true", help="check the judge itself")
    options = parser.parse_args()
    if options.self_test:
        self_test()
        return
    if not options.files:
        parser.error("name a file to judge")
    for path in options.files:
        result = judge(path, options.ref)
        if options.json:
            json.dump({"file": path, **result}, sys.stdout)
            print()
            continue
        print(path)
        for key, value in result.items():
            print(f"  {key:18s} {value:.4f}" if isinstance(value, float) else f"  {key:18s} {value}")


if __name__ == "__main__":
    main()
