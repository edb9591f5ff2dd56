"""The numpy rules: `(channels, frames)`, float32, C-contiguous; never guessed."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .exceptions import InvalidArgumentError

Samples = NDArray[np.float32]

MAX_CHANNELS = 8


def planar(x: ArrayLike, *, channels: int | None = None) -> Samples:
    """`x` as `(channels, frames)` float32 in C order: `x` itself when it is that, else one copy.

    `(frames,)` is mono. With `channels` given, there must be that many.
    """
    if type(x) is np.ndarray and x.ndim == 2 and x.dtype == np.float32 and x.shape[0] == channels:
        flags = x.flags
        if flags.c_contiguous and flags.aligned:
            return x  # the way of a stream's blocks, which must be short
    array = np.asarray(x)
    if array.dtype.kind != "f":
        raise InvalidArgumentError(
            f"the samples are {array.dtype}; expected float32 with 1.0 as full scale"
            " (for 16-bit integers pass x.astype(np.float32) / 32768)"
        )
    if array.ndim == 1:
        array = array.reshape(1, -1)
    if array.ndim != 2:
        raise InvalidArgumentError(
            f"the samples have shape {array.shape}; expected (channels, frames), or (frames,) for mono"
        )
    rows, columns = array.shape
    if channels is not None and rows != channels:
        advice = "; it looks like (frames, channels): pass x.T" if columns == channels else ""
        raise InvalidArgumentError(f"the samples have shape {array.shape}; expected ({channels}, frames){advice}")
    if channels is None and (rows > MAX_CHANNELS or rows > columns > 1):
        raise InvalidArgumentError(
            f"the samples have shape {array.shape}, which looks like (frames, channels); "
            f"expected (channels, frames) with 1 to {MAX_CHANNELS} channels: pass x.T"
        )
    return np.require(array, np.float32, ["C", "A", "E"])
