"""A whole sound in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ._arrays import Samples, planar
from .exceptions import InvalidArgumentError

__all__ = ["AudioBuffer"]


class AudioBuffer:
    """Samples of `(channels, frames)` float32, 1.0 being full scale, and their sample rate in Hz.

    An array that is already C-contiguous float32 is not copied: the buffer and the array share their memory. Every
    method that edits gives back a new buffer.
    """

    __slots__ = ("_sample_rate", "_samples")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, samples: ArrayLike, sample_rate: int) -> None:
        if not 8_000 <= sample_rate <= 384_000:
            raise InvalidArgumentError(f"sample rate is {sample_rate} Hz; expected 8000 to 384000 Hz")
        self._samples: Samples = planar(samples)
        self._sample_rate = int(sample_rate)

    @classmethod
    def from_interleaved(cls, samples: ArrayLike, sample_rate: int, *, channels: int | None = None) -> AudioBuffer:
        """From `(frames, channels)`, or from a flat L R L R … with `channels` given. Copies."""
        array = np.asarray(samples)
        if array.ndim == 1 and channels is not None:
            if channels < 1 or array.size % channels:
                raise InvalidArgumentError(f"{array.size} samples are not whole frames of {channels} channels")
            array = array.reshape(-1, channels)
        if array.ndim != 2 or channels not in (None, array.shape[1]):
            raise InvalidArgumentError(
                f"the samples have shape {array.shape}; expected (frames, channels),"
                " or (frames * channels,) with channels given"
            )
        return cls(planar(array.T, channels=array.shape[1]), sample_rate)

    @property
    def samples(self) -> Samples:
        """The samples, `(channels, frames)` float32. Not a copy: what is written into it changes the buffer."""
        return self._samples

    @property
    def sample_rate(self) -> int:
        """Frames per second, in Hz."""
        return self._sample_rate

    @property
    def channels(self) -> int:
        """How many channels there are."""
        return int(self._samples.shape[0])

    @property
    def frames(self) -> int:
        """How many frames there are (a frame is one sample of every channel)."""
        return int(self._samples.shape[1])

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self._sample_rate

    def channel(self, index: int) -> Samples:
        """One channel, `(frames,)`. Not a copy."""
        channel: Samples = self._samples[index]
        return channel

    def interleaved(self) -> Samples:
        """A copy as `(frames, channels)`, as sound cards and soundfile have it."""
        return np.ascontiguousarray(self._samples.T)

    def copy(self) -> AudioBuffer:
        """A buffer with samples of its own."""
        return AudioBuffer(self._samples.copy(), self._sample_rate)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        array = self._samples if dtype is None else self._samples.astype(dtype, copy=False)
        if copy is False and array is not self._samples:
            raise ValueError(f"float32 samples cannot become {array.dtype} without a copy")
        return array.copy() if copy and array is self._samples else array

    def __dlpack__(self, **kwargs: Any) -> Any:  # noqa: ANN401 (a capsule, which has no type)
        return self._samples.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._samples.__dlpack_device__()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AudioBuffer):
            return NotImplemented
        return self._sample_rate == other._sample_rate and np.array_equal(self._samples, other._samples)

    def __repr__(self) -> str:
        channels = {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels")
        return f"<AudioBuffer {channels}, {self._sample_rate} Hz, {self.frames} frames, {self.seconds:.3f} s>"

    def __reduce__(self) -> tuple[type[AudioBuffer], tuple[Samples, int]]:
        return AudioBuffer, (self._samples, self._sample_rate)
