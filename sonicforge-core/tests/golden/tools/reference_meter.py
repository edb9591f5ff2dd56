"""An independent meter in f64, slow and plain: where the golden numbers of `analyze` come from.

ITU-R BS.1770-4 and EBU Tech 3341/3342 written down with scipy, the signals of `testing.rs` and of the EBU documents made
again with numpy. It shares no code with the library.

    pip install numpy==2.4.6 scipy==1.17.1
    python reference_meter.py            # writes ../ebu.json and ../analyze/*.json
    python reference_meter.py --check    # compares with what is committed, to 1e-6
"""

import json
import math
import pathlib
import platform
import sys

import numpy as np
import scipy
from scipy import optimize, signal

GOLDEN = pathlib.Path(__file__).resolve().parent.parent
WEIGHTS = {
    1: [1], 2: [1, 1], 3: [1, 1, 1], 4: [1, 1, 1.41, 1.41], 5: [1, 1, 1, 1.41, 1.41],
    6: [1, 1, 1, 0, 1.41, 1.41], 7: [1, 1, 1, 0, 1, 1.41, 1.41], 8: [1, 1, 1, 0, 1, 1, 1.41, 1.41],
}

# ---------------------------------------------------------------- K-weighting

SHELF = ([1.53512485958697, -2.69169618940638, 1.19839281085285], [1.0, -1.69065929318241, 0.73248077421585])
RLB = ([1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621])


def at_rate(section, fs):
    """The section printed for 48 kHz at another rate: z = (1+s)/(1-s) into the polynomials, corner moved, and back."""
    if fs == 48000:
        return section

    def substitute(p, num, den):
        return p[0] * np.polymul(num, num) + p[1] * np.polymul(num, den) + p[2] * np.polymul(den, den)

    analogue = [substitute(p, [1.0, 1.0], [-1.0, 1.0]) for p in section]  # in s of the plain bilinear transform
    corner48 = math.sqrt(analogue[1][2] / analogue[1][0])  # tan(pi f0 / 48000)
    corner = math.tan(math.atan(corner48) * 48000 / fs)
    scale = corner48 / corner
    moved = [np.array(p) * np.array([scale**2, scale, 1.0]) for p in analogue]
    digital = [substitute(p, [1.0, -1.0], [1.0, 1.0]) for p in moved]  # s = (z-1)/(z+1)
    return digital[0] / digital[1][0], digital[1] / digital[1][0]


def k_weight(x, fs):
    for section in (SHELF, RLB):
        b, a = at_rate(section, fs)
        x = signal.lfilter(b, a, x)
    return x


def k_gain(hz, fs):
    h = 1.0
    for section in (SHELF, RLB):
        b, a = at_rate(section, fs)
        h = h * abs(signal.freqz(b, a, [2 * math.pi * hz / fs])[1][0])
    return h


# ---------------------------------------------------------------- loudness

def lufs(z):
    return -0.691 + 10 * np.log10(z)


def some(z):
    return float(lufs(z)) if z > 0 else None


def loudness(x, fs):
    """x: (channels, frames), f32 values in f64."""
    n = x.shape[1]
    energy = np.zeros(n)
    for weight, channel in zip(WEIGHTS[len(x)], x):
        if weight:
            energy += weight * k_weight(channel, fs) ** 2
    total = np.concatenate([[0.0], np.cumsum(energy)])

    def windows(seconds, hop_per_second):
        """Mean squares of all whole windows that end on the grid."""
        ends = [k * fs // hop_per_second for k in range(1, n * hop_per_second // fs + 1)]
        width = round(seconds * hop_per_second)
        ends = [0] + ends
        return np.array([(total[ends[k]] - total[ends[k - width]]) / (seconds * fs) for k in range(width, len(ends))])

    gate = windows(0.4, 10)
    integrated = None
    absolute = gate[gate > 10 ** ((-70 + 0.691) / 10)]
    if len(absolute):
        relative = absolute[absolute > absolute.mean() / 10]
        integrated = float(lufs(relative.mean()))
    short = windows(3.0, 10)
    lra = None
    gated = short[short > 10 ** ((-70 + 0.691) / 10)]
    if len(gated):
        kept = np.sort(short[short >= max(gated.mean() / 100, 10 ** ((-70 + 0.691) / 10))])
        pick = lambda p: kept[int(math.floor((len(kept) - 1) * p + 0.5))]
        lra = float(lufs(pick(0.95)) - lufs(pick(0.10)))
    m, s = windows(0.4, 100), windows(3.0, 100)
    return {
        "integrated_lufs": integrated,
        "momentary_max_lufs": some(m.max()) if len(m) else None,
        "short_term_max_lufs": some(s.max()) if len(s) else None,
        "loudness_range_lu": lra,
    }


# ---------------------------------------------------------------- true peak

HALF = 256  # taps on either side
BETA = 14.0


def at_time(x, t):
    """The band-limited signal at t (in frames), silence around it."""
    first = int(math.floor(t)) - HALF + 1
    k = np.arange(first, first + 2 * HALF)
    inside = (k >= 0) & (k < len(x))
    d = t - k[inside]
    return float(np.sum(x[k[inside]] * np.sinc(d) * np.i0(BETA * np.sqrt(1 - (d / HALF) ** 2)) / np.i0(BETA)))


def true_peak(x, near_db=0.06):
    """16x by a polyphase filter over the whole signal, then the continuous maximum beside every point that could hide it
    (a tone at half the rate lies 0.042 dB over its 16x grid at most)."""
    best = 0.0
    for channel in x:
        if not np.any(channel):
            continue
        padded = np.concatenate([np.zeros(64), channel, np.zeros(64)])
        taps = signal.firwin(16 * 256 + 1, 1 / 16, window=("kaiser", 12.0))
        grid = np.abs(signal.resample_poly(padded, 16, 1, window=taps))
        limit = grid.max() * 10 ** (-near_db / 20)
        middle = grid[1:-1]
        tops = np.flatnonzero((middle >= grid[:-2]) & (middle >= grid[2:]) & (middle >= limit)) + 1
        tops = tops[np.argsort(grid[tops])[::-1][:2000]]
        for top in tops:
            t = top / 16 - 64
            found = optimize.minimize_scalar(
                lambda t: -abs(at_time(channel, t)), bounds=(t - 1 / 16, t + 1 / 16), method="bounded", options={"xatol": 1e-7}
            )
            best = max(best, -found.fun)
    return best


def db(x):
    return 20 * math.log10(x) if x > 0 else None


# ---------------------------------------------------------------- the rest of an Analysis

CENTERS = [
    25, 31.5, 40, 50, 63, 80, 100, 125, 160, 200, 250, 315, 400, 500, 630, 800, 1000, 1250, 1600, 2000, 2500, 3150, 4000, 5000,
    6300, 8000, 10000, 12500, 16000, 20000,
]


def spectrum(x, fs):
    """Mean square per bin: windows of sine shape, half overlapping, that reach over both ends."""
    size = 1 << math.ceil(math.log2(fs / 3))
    n = x.shape[-1]
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size)
    half = size // 2
    padded = np.concatenate([np.zeros(half), x, np.zeros(2 * size)])
    power = np.zeros(half + 1)
    for start in range(0, n + half, half):
        power += np.abs(np.fft.rfft(padded[start : start + size] * window)) ** 2
    power[1:-1] *= 2
    return power / (size * n), fs / size


def bands(power, width, fs):
    out = []
    for i, center in enumerate(CENTERS):
        low, exact, high = (10 ** ((14 + i + side / 2) / 10) for side in (-1, 0, 1))
        if exact >= fs / 2:
            break
        k = np.arange(len(power))
        share = np.clip((np.minimum((k + 0.5) * width, high) - np.maximum((k - 0.5) * width, low)) / width, 0, 1)
        total = float(np.sum(power * share))
        out.append({"center_hz": float(center), "level_db": max(-120.0, 10 * math.log10(total)) if total > 0 else -120.0})
    return out


def clipped(channel):
    count, run, sign = 0, 0, 0
    runs = []
    for v in list(channel) + [0.0]:
        s = int(np.sign(v)) if 32767 / 32768 <= abs(v) <= 1 else 0
        count += abs(v) > 1
        if s != 0 and s == sign:
            run += 1
        else:
            runs.append(run if sign else 0)
            run, sign = 1, s
    return int(count) + sum(r for r in runs if r >= 3)


def analysis(x, fs):
    n = x.shape[1]
    out = loudness(x, fs)
    peak = float(np.abs(x).max()) if n else 0.0
    mean_square = float(np.mean(x**2)) if n else 0.0
    spectra = [spectrum(c, fs) for c in x]
    power, width = sum(p for p, _ in spectra) / len(x), spectra[0][1]
    f = np.arange(len(power)) * width
    heard = (f >= 20) & (f <= 20000)
    amplitude = np.sqrt(power[heard])
    out |= {
        "frames": n,
        "seconds": n / fs,
        "true_peak_dbtp": db(true_peak(x)),
        "sample_peak_dbfs": db(peak),
        "rms_dbfs": 10 * math.log10(mean_square) if mean_square > 0 else None,
        "third_octave": bands(power, width, fs),
        "centroid_hz": float(np.sum(f[heard] * amplitude) / np.sum(amplitude)) if amplitude.sum() > 0 else None,
        "correlation": None,
        "width": None,
        "dc_offset": [float(np.mean(c)) for c in x],
        "clipped_samples": sum(clipped(c) for c in x) if peak >= 32767 / 32768 else 0,
        "non_finite_samples": 0,
    }
    difference = lambda a, b: None if out[a] is None or out[b] is None else out[a] - out[b]
    out["plr_lu"] = difference("true_peak_dbtp", "integrated_lufs")
    out["crest_db"] = difference("sample_peak_dbfs", "rms_dbfs")
    if len(x) == 2:
        left, right = x
        norm = math.sqrt(float(np.sum(left**2)) * float(np.sum(right**2)))
        out["correlation"] = float(np.sum(left * right)) / norm if norm > 0 else None
        mid, side = (left + right) / 2, (left - right) / 2
        both = float(np.sum(mid**2) + np.sum(side**2))
        out["width"] = float(np.sum(side**2)) / both if both > 0 else None
        out["side_third_octave"] = bands(spectrum(side, fs)[0], width, fs)
    return out


# ---------------------------------------------------------------- the signals of testing.rs

class Xorshift:
    def __init__(self, seed):
        self.s = max(seed & (2**64 - 1), 1)

    def bipolar(self):
        s = self.s
        s ^= (s << 13) & (2**64 - 1)
        s ^= s >> 7
        s ^= (s << 17) & (2**64 - 1)
        self.s = s
        return (s >> 11) / 2**52 - 1.0


def render(spec, fs, channels, seconds):
    n = int(math.floor(seconds * fs + 0.5))
    i = np.arange(n, dtype=np.float64)
    out = []
    for c in range(channels):
        kind = spec["kind"]
        a = 10 ** (spec.get("level_dbfs", 0) / 20)
        if kind == "silence":
            y = np.zeros(n)
        elif kind == "sine":
            y = a * np.sin(2 * np.pi * spec["frequency_hz"] * i / fs + np.radians(spec.get("phase_deg", 0.0)))
        elif kind == "sweep":
            k, t = math.log(spec["to_hz"] / spec["from_hz"]), i / fs
            y = a * np.sin(2 * np.pi * spec["from_hz"] * seconds / k * (np.exp(t / seconds * k) - 1))
        elif kind == "noise":
            rng = Xorshift(spec["seed"] + c * 0x9E3779B9)
            y = a * np.array([rng.bipolar() for _ in range(n)])
        elif kind == "impulse":
            y = np.zeros(n)
            y[spec["at"]] = 1.0
        elif kind == "constant":
            y = np.full(n, float(spec["value"]))
        elif kind == "music":
            y = music(n, c, fs, spec["seed"])
        else:
            raise ValueError(kind)
        out.append(y.astype(np.float32).astype(np.float64))
    return np.array(out)


def music(n, channel, fs, seed):
    rng = Xorshift((seed * 0x9E3779B97F4A7C15 + channel + 1) & (2**64 - 1))
    noise = np.array([rng.bipolar() for _ in range(n)])
    roots = np.array([146.83, 116.54, 174.61, 130.81])
    pan = 1.0 if channel % 2 == 0 else -1.0
    high = noise - signal.lfilter([0.35], [1, -0.65], noise)
    t = np.arange(n) / fs
    beat = t * 100.0 / 60.0
    in_beat = (beat % 1) * 0.6
    root = roots[(beat / 4).astype(int) % 4]
    tau = 2 * np.pi
    swell = 0.65 + 0.35 * np.sin(tau * t / 9.6)
    kick = np.exp(-in_beat * 18) * np.sin(tau * (48 * in_beat + 9 * (1 - np.exp(-in_beat * 30)) / 3))
    half = (beat * 2) % 1 * 0.3
    bass = np.exp(-half * 5) * np.sin(tau * root / 2 * t)
    chord = np.zeros(n)
    for i, r in enumerate([1.0, 1.189207, 1.498307]):
        w = tau * root * 2 * r * (1 + pan * 0.0008 * (i + 1)) * t
        chord += np.sin(w) + 0.35 * np.sin(2 * w) + 0.2 * np.sin(3 * w) + 0.1 * np.sin(5 * w)
    hat = np.exp(-((beat * 4) % 1 * 0.15) * 45) * high
    s = np.where(beat % 8 > 7.5, np.sin(tau * 6800 * t) * 0.5 + high, 0.0)
    return 0.55 * kick + 0.18 * bass + 0.05 * swell * chord + 0.07 * hat + 0.08 * s


# ---------------------------------------------------------------- EBU Tech 3341 and 3342

def tones(fs, segments, hz=1000.0, channels=2):
    """segments: (seconds, level in dBFS or None); a list of levels gives each channel its own."""
    out, n, time = [[] for _ in range(channels)], 0, 0.0
    for seconds, level in segments:
        time += seconds
        end = int(math.floor(time * fs + 0.5))
        tone = np.sin(2 * np.pi * hz * np.arange(n, end) / fs)
        for c in range(channels):
            own = level[c] if isinstance(level, list) else level
            out[c].append(tone * (0.0 if own is None else 10 ** (own / 20)))
        n = end
    return np.array([np.concatenate(c).astype(np.float32) for c in out]).astype(np.float64)


def tapered(fs, hz, degrees, amplitude, seconds=1.0, ramp=0.1):
    n, r = round(seconds * fs), round(ramp * fs)
    i = np.arange(n)
    edge = np.minimum(np.minimum(i, n - 1 - i) / r, 1.0)
    y = amplitude * np.sin(np.pi / 2 * edge) ** 2 * np.sin(2 * np.pi * hz * i / fs + math.radians(degrees))
    y = y.astype(np.float32).astype(np.float64)
    return np.array([y, y])


def burst(fs, offset):
    """3341-20 to 23: fs/6 at half scale with one period at full scale, made at 4 fs, low-passed, one of four samples kept."""
    n, ramp, period = round(3.2 * fs) * 4, 2400 * 4, 24
    i = np.arange(n)
    level = np.where((i >= n // 2) & (i < n // 2 + period), 1.0, 0.5) * np.minimum(np.minimum(i, n - 1 - i) / ramp, 1.0)
    y = level * np.sin(2 * np.pi * (i - n // 2) / period)
    y = np.convolve(y, signal.firwin(1025, 0.24, window=("kaiser", 10.0)), mode="same")
    y = y[offset::4].astype(np.float32).astype(np.float64)
    return np.array([y, y])


def ebu_cases(fs):
    gap = lambda step, tone, i, level: [(i * step, None), (tone, level), (1.0, None)]
    yield "3341-1", tones(fs, [(20, -23)])
    yield "3341-2", tones(fs, [(20, -33)])
    yield "3341-3", tones(fs, [(10, -36), (60, -23), (10, -36)])
    yield "3341-4", tones(fs, [(10, -72), (10, -36), (60, -23), (10, -36), (10, -72)])
    yield "3341-5", tones(fs, [(20, -26), (20.1, -20), (20, -26)])
    yield "3341-6", tones(fs, [(20, [-28, -28, -24, -30, -30])], channels=5)
    yield "3341-6-lfe", tones(fs, [(20, [-28, -28, -24, -10, -30, -30])], channels=6)
    yield "3341-9", tones(fs, [(1.34, -20), (1.66, -30)] * 5)
    for i in range(1, 21):
        yield f"3341-10-{i}", tones(fs, gap(0.15, 3.0, i, -23))
    yield "3341-11", tones(fs, [s for i in range(1, 21) for s in gap(0.15, 3.0, i, -39 + i)])
    yield "3341-12", tones(fs, [(0.18, -20), (0.22, -30)] * 25)
    for i in range(1, 21):
        yield f"3341-13-{i}", tones(fs, gap(0.02, 0.4, i, -23))
    yield "3341-14", tones(fs, [s for i in range(1, 21) for s in gap(0.02, 0.4, i, -39 + i)])
    for name, divisor, degrees, amplitude in [
        ("15", 4, 0, 0.5), ("16", 4, 45, 0.5), ("17", 6, 60, 0.5), ("18", 8, 67.5, 0.5), ("19", 4, 45, 1.41),
    ]:
        yield f"3341-{name}", tapered(fs, fs / divisor, degrees, amplitude)
    for offset in range(4):
        yield f"3341-{20 + offset}", burst(fs, offset)
    yield "3342-1", tones(fs, [(20, -20), (20, -30)])
    yield "3342-2", tones(fs, [(20, -20), (20, -15)])
    yield "3342-3", tones(fs, [(20, -40), (20, -20)])
    yield "3342-4", tones(fs, [(20, -50), (20, -35), (20, -20), (20, -35), (20, -50)])


def ebu_reading(name, x, fs):
    if name.startswith("3341-") and 15 <= int(name.split("-")[1]) <= 23:
        return {"true_peak_dbtp": db(true_peak(x[:1]))}
    return loudness(x, fs)


# ---------------------------------------------------------------- what is committed

def origin(reason):
    return {
        "script": "tests/golden/tools/reference_meter.py",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "tolerance_reason": reason,
    }


CASES = {
    "sine_997_stereo_48k": ({"kind": "sine", "frequency_hz": 997.0, "level_dbfs": -23.0, "phase_deg": 0.0}, 48000, 2, 5.0),
    "sine_full_scale_mono_44k1": ({"kind": "sine", "frequency_hz": 997.0, "level_dbfs": 0.0, "phase_deg": 30.0}, 44100, 1, 3.5),
    "music_stereo_44k1": ({"kind": "music", "seed": 1}, 44100, 2, 12.0),
    "music_surround_48k": ({"kind": "music", "seed": 2}, 48000, 6, 4.0),
    "sweep_mono_96k": ({"kind": "sweep", "from_hz": 20.0, "to_hz": 20000.0, "level_dbfs": -6.0}, 96000, 1, 4.0),
    "noise_stereo_8k": ({"kind": "noise", "level_dbfs": -12.0, "seed": 7}, 8000, 2, 4.0),
    "silence_stereo_48k": ({"kind": "silence"}, 48000, 2, 1.0),
    "constant_clipped_mono_22k05": ({"kind": "constant", "value": 1.0}, 22050, 1, 1.0),
    "impulse_mono_192k": ({"kind": "impulse", "at": 1000}, 192000, 1, 0.1),
    "empty_stereo_48k": ({"kind": "silence"}, 48000, 2, 0.0),
}
# Numbers are equal within these; fields that are not named here must be equal.
TOLERANCE = {
    "integrated_lufs": 0.005, "momentary_max_lufs": 0.005, "short_term_max_lufs": 0.005, "loudness_range_lu": 0.005,
    "true_peak_dbtp": 0.02, "sample_peak_dbfs": 1e-5, "rms_dbfs": 1e-4, "plr_lu": 0.02, "crest_db": 1e-4,
    "third_octave": 0.01, "side_third_octave": 0.01, "centroid_hz": 1.0, "correlation": 1e-5, "width": 1e-5,
    "dc_offset": 1e-6, "seconds": 1e-9,
}
REASON = (
    "the library measures levels in f32 lanes and interpolates with 128 taps; this reference works in f64 with 512 taps; "
    "true peaks of signals with content up to half the rate depend on the interpolator: those cases get 0.05 dB, white noise 0.3"
)


# Content between 20 kHz and half the rate (hard edges, noise) is in the transition of any meter's interpolator.
EDGES = {"true_peak_dbtp": 0.05, "plr_lu": 0.05}
OWN_TOLERANCE = {
    "sine_full_scale_mono_44k1": EDGES,
    "music_stereo_44k1": EDGES,
    "noise_stereo_8k": {"true_peak_dbtp": 0.3, "plr_lu": 0.3},
}


def committed():
    readings = {}
    for fs in (48000, 44100):
        readings[str(fs)] = {name: ebu_reading(name, x, fs) for name, x in ebu_cases(fs)}
    k = {str(fs): {str(hz): k_gain(hz, fs) for hz in (25, 100, 500, 1000, 2000, 10000)} for fs in (48000, 44100)}
    reason = "0.02 LU and 0.02 dB: a fifth of EBU's own tolerance, below what an operator can read"
    yield GOLDEN / "ebu.json", {"origin": origin(reason), "readings": readings, "k_gain": k}
    for name, (spec, fs, channels, seconds) in CASES.items():
        expected = analysis(render(spec, fs, channels, seconds), fs) if seconds else EMPTY
        yield GOLDEN / "analyze" / f"{name}.json", {
            "operation": "analyze",
            "input": {"signal": spec, "sample_rate": fs, "channels": channels, "seconds": seconds},
            "parameters": {},
            "expected": {"schema": 1, "sample_rate": fs, "channels": channels} | expected,
            "tolerance": TOLERANCE | OWN_TOLERANCE.get(name, {}),
            "origin": origin(REASON),
        }


EMPTY = {
    "frames": 0, "seconds": 0.0, "integrated_lufs": None, "momentary_max_lufs": None, "short_term_max_lufs": None,
    "loudness_range_lu": None, "true_peak_dbtp": None, "sample_peak_dbfs": None, "rms_dbfs": None, "plr_lu": None,
    "crest_db": None, "centroid_hz": None, "correlation": None, "width": None, "dc_offset": [0.0, 0.0],
    "clipped_samples": 0, "non_finite_samples": 0,
}


def close(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b))
    if isinstance(a, float) and isinstance(b, (float, int)):
        return abs(a - b) <= 1e-6
    return a == b


def main():
    check = "--check" in sys.argv
    wrong = 0
    for path, content in committed():
        if check:
            old = json.loads(path.read_text())
            content, old = json.loads(json.dumps(content)), dict(old)
            content.pop("origin"), old.pop("origin")
            if not close(content, old):
                wrong += 1
                print("differs:", path)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content, indent=1) + "\n")
            print("wrote", path.relative_to(GOLDEN))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
