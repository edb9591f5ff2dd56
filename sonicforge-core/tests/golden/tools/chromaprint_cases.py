"""Writes the vectors of `golden/fingerprint/` from what libchromaprint says of our signals.

    python tools/chromaprint_cases.py

Needs libchromaprint (Debian: libchromaprint1) and the Python package, which renders the signals. libchromaprint is fed the
whole PCM at once; samples are rounded to 16 bit (to even between two).
"""

from __future__ import annotations

import ctypes
import json
from pathlib import Path

import numpy as np

import sonicforge as sf

OUT = Path(__file__).parent.parent / "fingerprint"
LIB = ctypes.CDLL("libchromaprint.so.1")
LIB.chromaprint_new.restype = ctypes.c_void_p
LIB.chromaprint_get_version.restype = ctypes.c_char_p
ORIGIN = {
    "script": "tools/chromaprint_cases.py",
    "libchromaprint": LIB.chromaprint_get_version().decode(),
    "tolerance": "exact: the words are the promise",
}

MUSIC = {"kind": "music", "seed": 5}
NOISE = {"kind": "noise", "level_dbfs": -12.0, "seed": 4}
CASES = [
    ("test1", MUSIC, 44_100, 2, 8.0),
    ("test2", MUSIC, 44_100, 2, 8.0),
    ("test2", MUSIC, 48_000, 1, 8.0),
    ("test2", NOISE, 8_000, 1, 8.0),
    ("test2", NOISE, 11_025, 1, 8.0),
    ("test2", NOISE, 96_000, 6, 5.0),
    ("test2", {"kind": "silence"}, 44_100, 2, 4.0),
    ("test3", NOISE, 22_050, 2, 12.0),
    ("test4", {"kind": "sweep", "from_hz": 1.0, "to_hz": 5_000.0, "level_dbfs": -40.0}, 32_000, 1, 10.0),
    ("test5", MUSIC, 192_000, 2, 5.0),
]


def chromaprint(pcm: np.ndarray, rate: int, channels: int, algorithm: int) -> dict[str, object]:
    context = ctypes.c_void_p(LIB.chromaprint_new(algorithm))
    LIB.chromaprint_start(context, rate, channels)
    LIB.chromaprint_feed(context, pcm.tobytes(), pcm.size)
    LIB.chromaprint_finish(context)
    text, simhash = ctypes.c_char_p(), ctypes.c_uint32()
    LIB.chromaprint_get_fingerprint(context, ctypes.byref(text))
    LIB.chromaprint_get_fingerprint_hash(context, ctypes.byref(simhash))
    found = {"chromaprint": text.value.decode(), "simhash": simhash.value}
    LIB.chromaprint_free(context)
    return found


def words(text: str) -> list[int]:
    found, count, algorithm = ctypes.POINTER(ctypes.c_uint32)(), ctypes.c_int(), ctypes.c_int()
    raw = text.encode()
    assert LIB.chromaprint_decode_fingerprint(raw, len(raw), ctypes.byref(found), ctypes.byref(count), ctypes.byref(algorithm), 1)
    return found[: count.value]


def write(name: str, case: dict[str, object]) -> None:
    (OUT / f"{name}.json").write_text(json.dumps(case, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    OUT.mkdir(exist_ok=True)
    for preset, signal, rate, channels, seconds in CASES:
        audio = sf.testing.signal(**signal, sample_rate=rate, channels=channels, seconds=seconds)
        pcm = np.clip(np.rint(audio.samples.T * np.float32(32_768)), -32_768, 32_767).astype("<i2")
        expected = chromaprint(pcm, rate, channels, int(preset[-1]) - 1)
        given = {"signal": signal, "sample_rate": rate, "channels": channels, "seconds": seconds}
        case = {"operation": "chromaprint", "input": given, "parameters": {"preset": preset}, "expected": expected,
                "origin": ORIGIN}  # fmt: skip
        write(f"{preset}_{signal['kind']}_{channels}ch_{rate}", case)
    text = chromaprint(np.round(3e4 * np.sin(np.arange(44_100) ** 1.5 / 300)).astype("<i2"), 11_025, 1, 1)["chromaprint"]
    texts = [text, text + "==", text[:-2], text + "AA", "", "AQAAAA", "CQAAAA", "AQ*AAA", "Af___wA", "AQAAAQcf"]
    expected = [{"preset": "test2", "words": words(text)}, {"preset": "test2", "words": words(text)}, {"error": "SF_FORMAT"},
                {"error": "SF_FORMAT"}, {"error": "SF_FORMAT"}, {"preset": "test2", "words": []}, {"error": "SF_UNSUPPORTED"},
                {"error": "SF_FORMAT"}, {"error": "SF_FORMAT"}, {"error": "SF_FORMAT"}]  # fmt: skip
    write("texts", {"operation": "chromaprint_texts", "parameters": {"texts": texts}, "expected": {"read": expected}, "origin": ORIGIN})


if __name__ == "__main__":
    main()
