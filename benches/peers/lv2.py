"""Runs one LV2 plugin on an array, through the plugin's own C interface (lv2core: `lv2_descriptor`), with nothing but ctypes.

The command-line hosts (`lv2apply`, `lv2proc`) refuse plugins with atom ports or the URID feature, and the x42 limiter has both.

    python benches/peers/lv2.py IN.wav OUT.wav [threshold=-1 …]      # the x42 peak limiter, true peak on
"""

from __future__ import annotations

import ctypes
import pathlib
import re
import sys

import numpy as np

DPL = "http://gareus.org/oss/lv2/dpl#stereo"
FOLDERS = [pathlib.Path(p) for p in ("/usr/lib/lv2", "/usr/local/lib/lv2", pathlib.Path.home() / ".lv2")]


class _Feature(ctypes.Structure):
    _fields_ = [("uri", ctypes.c_char_p), ("data", ctypes.c_void_p)]


_MAP = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_void_p, ctypes.c_char_p)


class _Map(ctypes.Structure):
    _fields_ = [("handle", ctypes.c_void_p), ("map", _MAP)]


class _Descriptor(ctypes.Structure):
    _fields_ = [
        ("uri", ctypes.c_char_p),
        ("instantiate", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_double, ctypes.c_char_p, ctypes.c_void_p)),
        ("connect_port", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p)),
        ("activate", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("run", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)),
        ("deactivate", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("cleanup", ctypes.CFUNCTYPE(None, ctypes.c_void_p)),
        ("extension_data", ctypes.c_void_p),
    ]


def dpl_bundle() -> pathlib.Path | None:
    """Where the x42 limiter lies (Debian: `apt-get install x42-plugins`), or None."""
    return next((f / "dpl.lv2" for f in FOLDERS if (f / "dpl.lv2" / "dpl.so").exists()), None)


def dpl(audio: np.ndarray, rate: int, *, threshold: float, release: float = 0.01, true_peak: bool = True) -> np.ndarray:
    """The x42 digital peak limiter on stereo audio (frames, 2); its latency is taken off."""
    bundle = dpl_bundle()
    if bundle is None:
        raise FileNotFoundError("x42 dpl is not installed (apt-get install x42-plugins)")
    text = (bundle / "dpl.ttl").read_text()
    text = text[text.index("dpl:stereo") :]
    found = re.findall(r"lv2:index\s+(\d+)\s*;\s*lv2:symbol\s+\"(\w+)\"", text)
    port = {symbol: int(index) for index, symbol in found}
    library = ctypes.CDLL(str(bundle / "dpl.so"))
    library.lv2_descriptor.restype = ctypes.POINTER(_Descriptor)
    library.lv2_descriptor.argtypes = [ctypes.c_uint32]
    descriptor = next(
        d.contents for i in range(16) if (d := library.lv2_descriptor(i)) and d.contents.uri == DPL.encode()
    )
    names: dict[bytes, int] = {}
    mapper = _MAP(lambda _handle, uri: names.setdefault(bytes(uri), len(names) + 1))
    urid = _Map(None, mapper)
    feature = _Feature(b"http://lv2plug.in/ns/ext/urid#map", ctypes.cast(ctypes.pointer(urid), ctypes.c_void_p))
    features = (ctypes.POINTER(_Feature) * 2)(ctypes.pointer(feature), None)
    handle = descriptor.instantiate(
        ctypes.addressof(descriptor), float(rate), f"{bundle}/".encode(), ctypes.cast(features, ctypes.c_void_p)
    )
    if not handle:
        raise RuntimeError("x42 dpl would not start")
    controls = {
        "enable": 1.0, "gain": 0.0, "threshold": threshold, "release": release, "truepeak": float(true_peak),
        "level": 0.0, "latency": 0.0,
    }  # fmt: skip
    cells = {name: ctypes.c_float(value) for name, value in controls.items()}
    for name, cell in cells.items():
        descriptor.connect_port(handle, port[name], ctypes.addressof(cell))
    size = 1024
    control = np.zeros(1024, np.uint32)
    notify = np.zeros(4096, np.uint32)
    sequence = names.setdefault(b"http://lv2plug.in/ns/ext/atom#Sequence", len(names) + 1)
    chunk = names.setdefault(b"http://lv2plug.in/ns/ext/atom#Chunk", len(names) + 1)
    descriptor.connect_port(handle, port["control"], control.ctypes.data)
    descriptor.connect_port(handle, port["notify"], notify.ctypes.data)
    buffers = {name: np.zeros(size, np.float32) for name in ("inL", "inR", "outL", "outR")}
    for name, buffer in buffers.items():
        descriptor.connect_port(handle, port[name], buffer.ctypes.data)
    if descriptor.activate:  # optional in the standard
        descriptor.activate(handle)
    frames = len(audio)
    tail = 2048
    out = np.zeros((frames + tail, 2), np.float32)
    source = np.concatenate([audio, np.zeros((tail, 2))]).astype(np.float32)
    for start in range(0, len(source), size):
        n = min(size, len(source) - start)
        control[:2] = (8, sequence)
        notify[:2] = (notify.nbytes - 8, chunk)
        buffers["inL"][:n], buffers["inR"][:n] = source[start : start + n].T
        descriptor.run(handle, n)
        out[start : start + n, 0], out[start : start + n, 1] = buffers["outL"][:n], buffers["outR"][:n]
    lag = int(cells["latency"].value)
    if descriptor.deactivate:
        descriptor.deactivate(handle)
    descriptor.cleanup(handle)
    return out[lag : lag + frames].astype(np.float64)


def main() -> None:
    from common import read, write_float

    settings = {k: float(v) for k, v in (a.split("=") for a in sys.argv[3:])}
    audio, rate = read(sys.argv[1])
    write_float(sys.argv[2], dpl(audio, rate, **({"threshold": -1.0} | settings)), rate)


if __name__ == "__main__":
    main()
