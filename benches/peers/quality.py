"""The quality of every processor on signals whose answer is known: ours and the peers', in one run.

    python benches/peers/quality.py [--work DIR] [--only sum,alias] [--out quality]

- sum:     four bands summed without compression, 20 Hz … 20 kHz, from an impulse: how far from flat.
- alias:   a tone at −1 dBFS at 44.1 kHz through each exciter: what is neither the tone nor its harmonics, below 20 kHz.
- curve:   threshold −20 dB, 4:1, hard knee, 1 kHz: output level against the drawn curve.
- thd:     100 Hz at −8 dBFS through the same compressor, harmonics re the tone.
- deesser: 250 Hz at 0.1 with bursts of 7 kHz at 0.2 (200 ms every 500 ms, 10 ms ramps).
- widener: L + R of real music before and after.
- dither:  a 1 kHz tone of −100 dBFS into 16 bit: noise re a full-scale sine, and the highest harmonic over the noise's floor.
- meter:   integrated loudness and true peak of 16 tracks and of sines up to 20 kHz, against the judge (ffmpeg prints tenths).
- match:   one track made to sound like another: loudness, 1/3-octave shape, true peak (matchering is the peer).
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import re
import tempfile
from collections.abc import Callable

import numpy as np
from scipy import signal

from common import WORK, Failed, ffmpeg, ours, read, run, save_json, table, write_float
from corpus import load
from judge import align, latency, lufs, shape_error, spectrum, tone_lines, true_peak

Process = Callable[[np.ndarray, int], np.ndarray]


# -- how each peer is run -----------------------------------------------------------------------------------------------


def through(command: Callable[[str, str], list]) -> Process:
    """A program from float WAV to float WAV."""

    def call(audio: np.ndarray, rate: int) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            source, target = f"{folder}/in.wav", f"{folder}/out.wav"
            write_float(source, audio, rate)
            run(command(source, target))
            return read(target)[0]

    return call


def af(graph: str) -> Process:
    """An ffmpeg filter graph."""
    return through(lambda a, b: [*ffmpeg(), "-i", a, "-af", graph, "-c:a", "pcm_f32le", b])


def sox(*effects: str) -> Process:
    """sox effects."""
    return through(lambda a, b: ["sox", "--no-dither", "-V1", a, "-e", "float", "-b", "32", b, *effects])


def board(make: Callable) -> Process:
    """A pedalboard plugin."""

    def call(audio: np.ndarray, rate: int) -> np.ndarray:
        import pedalboard

        return make(pedalboard)(np.ascontiguousarray(audio.T, dtype=np.float32), rate).T.astype(np.float64)

    return call


def chain(*modules: dict) -> Process:
    """Our chain made of these modules, rendered with its latency compensated."""

    def call(audio: np.ndarray, rate: int) -> np.ndarray:
        with tempfile.NamedTemporaryFile("w", suffix=".json") as preset:
            json.dump({"schema": 1, "name": "bench", "modules": list(modules)}, preset)
            preset.flush()
            return through(lambda a, b: [ours(), "process", preset.name, a, b])(audio, rate)

    return call


def with_ours(peers: dict[str, Process], own: dict[str, Process]) -> dict[str, Process]:
    """The peers and, when our program is built, ours."""
    return peers | (own if ours() else {})


def stereo(x: np.ndarray) -> np.ndarray:
    """The same in both channels."""
    return np.stack([x, x], axis=1)


def db(value: float) -> float:
    """Amplitude to dB."""
    return 20 * math.log10(max(value, 1e-15))


# -- the trials -----------------------------------------------------------------------------------------------------------


def trial_sum(work: pathlib.Path) -> list[dict]:
    rate, size = 48000, 1 << 17
    x = np.zeros(size)
    x[size // 4] = 0.1
    flat = "-90/-90,0/0"
    bands = [f"0.010,0.150 0 {flat} {hz}" for hz in (120, 1200, 6000, 22000)]
    sox_bands: list[str] = []
    for hz in ("120", "1200", "6000", ""):
        sox_bands += ["0.010,0.150 0:-90,-90,0,0"] + ([hz] if hz else [])
    rows = []
    for who, call in with_ours(
        {
            "ffmpeg mcompand": af("mcompand='" + " | ".join(bands) + "'"),
            "sox mcompand": sox("mcompand", *sox_bands),
            "ffmpeg acrossover (LR4), summed": af(
                "acrossover=split='120 1200 6000':order=4th[a][b][c][d];[a][b][c][d]amix=inputs=4:normalize=0"
            ),
        },
        {"SonicForge Multiband": chain({"type": "multiband", **OURS["multiband_idle"]})},
    ).items():
        y = call(stereo(x), rate)[:, 0]
        frequency = np.fft.rfftfreq(size, 1 / rate)
        response = 20 * np.log10(np.abs(np.fft.rfft(y, size)) / np.abs(np.fft.rfft(x, size)) + 1e-15)
        band = response[(frequency >= 20) & (frequency <= 20000)]
        rows.append({"who": who, "lowest_db": float(band.min()), "highest_db": float(band.max()), "worst_db": float(np.max(np.abs(band)))})
    return rows


def trial_alias(work: pathlib.Path) -> list[dict]:
    rate = 44100
    tones = (1003.1, 3001.7, 5003.3, 7001.9, 9001.1, 11003.9, 13001.3, 14999.3)
    t = np.arange(1 << 17) / rate
    rows = []
    for who, call in with_ours(
        {
            "ffmpeg aexciter": af("aexciter=freq=2000:ceil=20000"),
            "ffmpeg crystalizer": af("crystalizer=i=2"),
            "ffmpeg asoftclip 8x": af("asoftclip=type=tanh:threshold=0.5:oversample=8"),
            "pedalboard Distortion": board(lambda p: p.Distortion(drive_db=12)),
            "sox overdrive": sox("overdrive", "12"),
        },
        {"SonicForge Exciter": chain({"type": "exciter", **OURS["exciter_full"]})},
    ).items():
        row: dict = {"who": who}
        for tone in tones:
            x = 10 ** (-1 / 20) * np.sin(2 * np.pi * tone * t)
            y = call(stereo(x), rate)[:, 0]
            middle = y[len(y) // 2 - 32768 : len(y) // 2 + 32768]  # no edges
            row[f"{tone:.0f}"] = tone_lines(middle, rate, tone)["alias_db"]
            row[f"{tone:.0f}_thd"] = tone_lines(middle, rate, tone)["thd_db"]
        row["worst_db"] = max(row[f"{tone:.0f}"] for tone in tones)
        rows.append(row)
    return rows


def compressors() -> dict[str, Process]:
    threshold = 10 ** (-20 / 20)
    return with_ours(
        {
            "pedalboard Compressor 1/100 ms": board(lambda p: p.Compressor(-20, 4, 1, 100)),
            "pedalboard Compressor 20/250 ms": board(lambda p: p.Compressor(-20, 4, 20, 250)),
            "ffmpeg acompressor rms 20/250 ms": af(f"acompressor=threshold={threshold}:ratio=4:attack=20:release=250:knee=1:detection=rms"),
            "ffmpeg acompressor peak 20/250 ms": af(f"acompressor=threshold={threshold}:ratio=4:attack=20:release=250:knee=1:detection=peak"),
        },
        {
            "SonicForge Glue 1/100 ms": chain({"type": "glue", **OURS["glue_fast"]}),
            "SonicForge Glue 20/250 ms": chain({"type": "glue", **OURS["glue_slow"]}),
            "SonicForge Multiband 20/250 ms": chain({"type": "multiband", **OURS["multiband_curve"]}),
        },
    )


def trial_curve(work: pathlib.Path) -> list[dict]:
    rate, seconds = 48000, 6
    t = np.arange(rate * seconds) / rate
    levels = range(-40, 1, 4)
    rows = []
    for who, call in compressors().items():
        row: dict = {"who": who}
        for level in levels:
            y = call(stereo(10 ** (level / 20) * np.sin(2 * np.pi * 1000 * t)), rate)[:, 0]
            last = y[4 * rate : 5 * rate]
            got = db(math.sqrt(2 * float(np.mean(last * last))))
            row[str(level)] = got - (level if level <= -20 else -20 + (level + 20) / 4)
        row["worst_db"] = max((row[str(level)] for level in levels), key=abs)
        rows.append(row)
    return rows


def trial_thd(work: pathlib.Path) -> list[dict]:
    rate = 48000
    t = np.arange(rate * 8) / rate
    x = stereo(10 ** (-8 / 20) * np.sin(2 * np.pi * 100 * t))
    rows = []
    for who, call in compressors().items():
        y = call(x, rate)[5 * rate : 5 * rate + 2 * rate, 0]
        value = tone_lines(y, rate, 100.0)["thd_db"]
        rows.append({"who": who, "thd_db": value, "thd_percent": 100 * 10 ** (value / 20)})
    return rows


def trial_deesser(work: pathlib.Path) -> list[dict]:
    rate, seconds = 48000, 10
    t = np.arange(rate * seconds) / rate
    low = 0.1 * np.sin(2 * np.pi * 250 * t)
    place = t % 0.5
    ramp = np.clip(np.minimum(place, 0.2 - place) / 0.01, 0, 1)
    burst = 0.2 * np.sin(2 * np.pi * 7000 * t) * (0.5 - 0.5 * np.cos(np.pi * ramp))
    rows = []

    def level(y: np.ndarray, hz: float) -> float:
        phase = np.exp(-2j * np.pi * hz * t[: len(y)])
        return abs(2 * np.mean(y * phase))

    for who, call in with_ours(
        {"ffmpeg deesser": af("deesser"), "ffmpeg deesser i=0.5": af("deesser=i=0.5"), "ffmpeg deesser i=1": af("deesser=i=1")},
        {"SonicForge DeEsser": chain({"type": "de_esser", **OURS["de_esser"]})},
    ).items():
        both = call(stereo(low + burst), rate)[:, 0]
        alone = call(stereo(low), rate)[:, 0]
        n = rate * 4  # whole periods of everything
        cut = slice(2 * rate, 2 * rate + n)
        frequency, power = spectrum(alone[cut], rate)
        tone = float(np.sum(power[np.abs(frequency - 250) < 8]))
        third = float(np.sum(power[np.abs(frequency - 750) < 8]))
        rows.append({
            "who": who,
            "burst_db": db(level(both[cut], 7000) / level((low + burst)[cut], 7000)),
            "tone_in_bursts_db": db(level(both[cut], 250) / level((low + burst)[cut], 250)),
            "tone_alone_db": db(level(alone[cut], 250) / level(low[cut], 250)),
            "third_harmonic_db": 10 * math.log10(max(third, 1e-40) / tone),
            "tone_alone_bit_exact": bool(np.array_equal(alone.astype(np.float32), low.astype(np.float32)[: len(alone)])),
        })  # fmt: skip
    return rows


def trial_widener(work: pathlib.Path) -> list[dict]:
    entry = load(work)[3]
    whole, rate = read(entry["path"])
    x = whole[20 * rate : 40 * rate].astype(np.float32).astype(np.float64) * 0.5
    rows = []
    for who, call in with_ours(
        {
            "ffmpeg extrastereo 1.5": af("extrastereo=m=1.5:c=0"),
            "ffmpeg stereotools slev 1.5": af("stereotools=slev=1.5"),
            "ffmpeg stereowiden": af("stereowiden"),
            "ffmpeg haas": af("haas"),
            "sox earwax": sox("earwax"),
        },
        {"SonicForge Widener 1.5": chain({"type": "widener", **OURS["widener"]})},
    ).items():
        y = call(x, rate)
        y, ref = align(y, x, latency(y, x, 2000))
        mono, before = np.sum(y, axis=1), np.sum(ref, axis=1)
        error = 10 * math.log10(max(1e-30, float(np.sum((mono - before) ** 2) / np.sum(before**2))))
        side = lambda a: float(np.sum((a[:, 0] - a[:, 1]) ** 2))  # noqa: E731
        # The sum of two f32 is what a listener's mono button makes of the file.
        exact = np.array_equal(np.float32(y[:, 0]) + np.float32(y[:, 1]), np.float32(ref[:, 0]) + np.float32(ref[:, 1]))
        rows.append({"who": who, "mono_error_db": error, "bit_exact": exact, "side_gain_db": 10 * math.log10(side(y) / side(ref))})
    return rows


def trial_dither(work: pathlib.Path) -> list[dict]:
    rate, n, size = 48000, 1 << 21, 1 << 16
    t = np.arange(n) / rate
    x = stereo(10 ** (-100 / 20) * np.sin(2 * np.pi * 1000.3 * t))

    def board_file(a: np.ndarray, r: int) -> np.ndarray:
        from pedalboard.io import AudioFile

        with tempfile.TemporaryDirectory() as folder:
            with AudioFile(f"{folder}/x.wav", "w", samplerate=r, num_channels=2, bit_depth=16) as f:
                f.write(a.T.astype(np.float32))
            return read(f"{folder}/x.wav")[0]

    def sndfile(a: np.ndarray, r: int) -> np.ndarray:
        import soundfile

        with tempfile.TemporaryDirectory() as folder:
            soundfile.write(f"{folder}/x.wav", a, r, subtype="PCM_16")
            return read(f"{folder}/x.wav")[0]

    def swr(method: str) -> Process:
        return through(lambda a, b: [*ffmpeg(), "-i", a, "-af", f"aresample=osf=s16:dither_method={method}", "-c:a", "pcm_s16le", b])

    rows = []
    for who, call in with_ours(
        {
            "pedalboard AudioFile": board_file,
            "libsndfile": sndfile,
            "ffmpeg triangular": swr("triangular"),
            "ffmpeg triangular_hp": swr("triangular_hp"),
            "ffmpeg shibata": swr("shibata"),
            "sox dither": through(lambda a, b: ["sox", "-V1", a, "-b", "16", "-e", "signed", b, "dither"]),
        },
        {
            f"SonicForge {name}": through(lambda a, b, name=name: [ours(), "write", a, b, "--bits", "16", "--dither", name])
            for name in ("tpdf", "shaped")
        },
    ).items():
        y = call(x, rate)[:, 0]
        # Averaged over many segments, so that the floor stands still and a harmonic can be told from it.
        frequency, power = signal.welch(y, rate, window=("kaiser", 38.0), nperseg=size, detrend=False, scaling="density")
        power = power * (frequency[1] - frequency[0]) / 0.5  # re a full-scale sine
        width = 16 * rate / size
        tone = np.abs(frequency - 1000.3) <= width
        noise = power[~tone & (frequency > width)]
        highest = -math.inf
        for k in range(2, 20):
            distance = np.abs(frequency - k * 1000.3)
            near, around = distance <= 3 * rate / size, (distance > width) & (distance <= 300)
            highest = max(highest, 10 * math.log10(max(float(np.mean(power[near])), 1e-40) / max(float(np.mean(power[around])), 1e-40)))
        low = ~tone & (frequency > width) & (frequency < 4000)
        rows.append({
            "who": who,
            "noise_db": 10 * math.log10(max(float(np.sum(noise)), 1e-40)),
            "noise_below_4k_db": 10 * math.log10(max(float(np.sum(power[low])), 1e-40)),
            "harmonic_over_floor_db": highest,
            "tone_level_error_db": 10 * math.log10(max(float(np.sum(power[tone])), 1e-40)) + 100,
        })  # fmt: skip
    return rows


def trial_meter(work: pathlib.Path) -> list[dict]:
    """Loudness and true peak of real tracks and of sines up to 20 kHz, against the judge."""
    rate = 44100
    tracks = load(work)
    tracks = [tracks[i * len(tracks) // 16] for i in range(16)]
    rng = np.random.default_rng(5)
    t = np.arange(2 * rate) / rate
    fade = np.sin(np.pi / 2 * np.clip(np.minimum(t, 2 - t) / 0.2, 0, 1)) ** 2
    sines = [
        (f, stereo(0.5 * fade * np.sin(2 * np.pi * f * t + rng.uniform(0, 6.28)))) for f in (997, 5003, 11025, 14700, 17001, 18999, 20000) for _ in range(4)
    ]

    def ffmpeg_says(path: str) -> tuple[float, float]:
        said = run(["ffmpeg", "-nostdin", "-hide_banner", "-i", path, "-af", "ebur128=peak=true:framelog=verbose", "-f", "null", "-"])["stderr"]
        summary = said[said.rindex("Summary:") :]
        return tuple(float(re.search(rf"{k}:\s+(-?[\d.]+|-?inf)", summary).group(1)) for k in ("I", "Peak"))

    def program(word: str) -> Callable[[str], tuple[float, float]]:
        def call(path: str) -> tuple[float, float]:
            said = json.loads(run([ours(), word, path])["stdout"])
            return said["integrated_lufs"], said["true_peak_dbtp"]

        return call

    def pyloud(path: str) -> tuple[float, float]:
        import pyloudnorm

        audio, r = read(path)
        return pyloudnorm.Meter(r).integrated_loudness(audio), math.nan

    meters: dict[str, Callable[[str], tuple[float, float]]] = {"ffmpeg ebur128": ffmpeg_says, "pyloudnorm": pyloud}
    if ours():
        meters |= {"crate ebur128": program("ebur128"), "SonicForge": program("analyze")}
    errors: dict[str, dict[str, list[float]]] = {who: {"lufs": [], "peak": [], "sine": []} for who in meters}
    for entry in tracks:
        audio, r = read(entry["path"])
        exact_lufs, exact_peak = lufs(audio, r), true_peak(audio)
        for who, meter in meters.items():
            loudness, peak = meter(entry["path"])
            errors[who]["lufs"].append(loudness - exact_lufs)
            errors[who]["peak"].append(peak - exact_peak)
    with tempfile.TemporaryDirectory() as folder:
        for _, sine in sines:
            write_float(f"{folder}/sine.wav", sine, rate)
            exact = true_peak(read(f"{folder}/sine.wav")[0])
            for who, meter in meters.items():
                errors[who]["sine"].append(meter(f"{folder}/sine.wav")[1] - exact)
    return [
        {
            "who": who,
            "loudness_error_lu": max(e["lufs"], key=abs),
            "true_peak_low_db": min(e["peak"]),
            "true_peak_high_db": max(e["peak"]),
            "sines_to_20k_low_db": min(e["sine"]),
            "sines_to_20k_high_db": max(e["sine"]),
        }
        for who, e in errors.items()
    ]


def trial_match(work: pathlib.Path) -> list[dict]:
    tracks = load(work)
    long_enough = [e for e in tracks if 90 <= e["seconds"] <= 400]
    reference = long_enough[len(long_enough) // 8]
    rows = []
    for target in (long_enough[len(long_enough) // 2], long_enough[-len(long_enough) // 4]):
        goal, goal_rate = read(reference["path"])
        with tempfile.TemporaryDirectory() as folder:
            wav = f"{folder}/target.wav"
            for who, command in {
                "matchering": ["python", "matchering"],
                **({"SonicForge": [ours(), "match", target["path"], wav, "--reference", reference["path"]]} if ours() else {}),
            }.items():
                if who == "matchering":
                    import sys

                    script = (
                        "import matchering as mg,sys;"
                        "mg.process(target=sys.argv[1],reference=sys.argv[2],results=[mg.Result(sys.argv[3],'FLOAT',use_limiter=True)])"
                    )
                    command = [sys.executable, "-c", script, target["path"], reference["path"], wav]
                try:
                    got = run(command)
                except Failed as error:
                    print(f"match: {who}: {str(error)[-300:]}")
                    continue
                out, rate = read(wav)
                rows.append({
                    "who": who, "target": target["name"], "reference": reference["name"], "seconds": target["seconds"],
                    "loudness_error_lu": lufs(out, rate) - lufs(goal, goal_rate),
                    "shape_error_db": shape_error(out, goal, rate) if rate == goal_rate else math.nan,
                    "true_peak_dbtp": true_peak(out), "cpu_s": got["cpu_s"], "peak_mib": got["peak_mib"],
                })  # fmt: skip
    return rows


# Our modules' settings for the trials above.
_FAST = {"threshold_db": -20, "ratio": 4, "knee_db": 0, "attack_ms": 1, "release_ms": 100, "slow_release_ms": 0}
_SLOW = _FAST | {"attack_ms": 20, "release_ms": 250}
OURS: dict[str, dict] = {
    # Bands that would compress, did anything come near 0 dBFS: a ratio of 1 would be passed by.
    "multiband_idle": {"crossovers_hz": [120, 1200, 6000], "bands": [{"threshold_db": 0, "ratio": 2, "knee_db": 0}] * 4},
    "multiband_curve": {"crossovers_hz": [30, 12000], "bands": [_SLOW] * 3},
    # Both harmonics at their strongest.
    "exciter_full": {"frequency_hz": 2000, "even_db": 0, "odd_db": 0},
    "glue_fast": _FAST | {"sidechain_hz": 10},
    "glue_slow": _SLOW | {"sidechain_hz": 10},
    "de_esser": {},
    "widener": {"width": 1.5},
}

TRIALS = {
    name.removeprefix("trial_"): function for name, function in list(globals().items()) if name.startswith("trial_")
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=WORK)
    parser.add_argument("--only", default="", help=f"trials, comma separated: {', '.join(TRIALS)}")
    parser.add_argument("--out", type=pathlib.Path, help="writes OUT.json and OUT.md (default WORK/quality)")
    options = parser.parse_args()
    out = options.out or options.work / "quality"
    wanted = [w for w in options.only.split(",") if w]
    results: dict[str, list[dict]] = {}
    text = ""
    for name, trial in TRIALS.items():
        if wanted and name not in wanted:
            continue
        results[name] = trial(options.work)
        heads = [k for k in results[name][0] if not k.endswith("_thd")]
        part = f"### {name}\n\n" + table(heads, [[r[k] for k in heads] for r in results[name]]) + "\n"
        print(part, flush=True)
        text += part
        save_json(out.with_suffix(".json"), results)
        out.with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
