"""A whole sound in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from . import _sonicforge
from ._arrays import Samples, planar
from ._io import Container, Dither, SampleFormat, StrPath, how
from ._progress import Progress, listening
from ._sonicforge import CancelToken
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
    def read(cls, path: StrPath, *, progress: Progress = None, cancel: CancelToken | None = None) -> AudioBuffer:
        """Decodes a file: WAV, AIFF, FLAC, MP3, Ogg Vorbis, Opus, AAC or ALAC, told by its content."""
        with listening(progress) as listener:
            return cls(*_sonicforge.read(path, listener, cancel))

    @classmethod
    def read_bytes(
        cls,
        data: bytes | bytearray | memoryview,
        *,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> AudioBuffer:
        """Decodes the bytes of a file."""
        with listening(progress) as listener:
            return cls(*_sonicforge.read_bytes(bytes(data), listener, cancel))

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

    def write(
        self,
        path: StrPath,
        *,
        container: Container | None = None,
        sample_format: SampleFormat = "int24",
        dither: Dither = "tpdf",
        seed: int = 0,
        tags_from: StrPath | None = None,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> None:
        """Writes a WAV or FLAC file; the extension decides unless `container` does.

        The file bears a temporary name until it is complete. The same `seed` of the dither writes the same bytes;
        `tags_from` names a file whose tags and cover are taken along.
        """
        options = how(container, sample_format, dither, seed, tags_from)
        with listening(progress) as listener:
            _sonicforge.write(path, self._samples, self._sample_rate, options, listener, cancel)

    def write_bytes(
        self,
        *,
        container: Container,
        sample_format: SampleFormat = "int24",
        dither: Dither = "tpdf",
        seed: int = 0,
        tags_from: StrPath | None = None,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> bytes:
        """The bytes of a WAV or FLAC file; see `write`."""
        options = how(container, sample_format, dither, seed, tags_from)
        with listening(progress) as listener:
            return _sonicforge.write_bytes(self._samples, self._sample_rate, options, listener, cancel)

    def resample(self, sample_rate: int) -> AudioBuffer:
        """At another sample rate, 8000 to 384000 Hz."""
        return self._edit("resample", sample_rate)

    def trim(self, start_s: float = 0.0, end_s: float | None = None) -> AudioBuffer:
        """The part between two times in seconds; to the end when `end_s` is None."""
        return self._edit("trim", start_s, self.seconds if end_s is None else end_s)

    def fade_in(self, seconds: float) -> AudioBuffer:
        """With the first `seconds` rising from silence."""
        return self._edit("fade_in", seconds)

    def fade_out(self, seconds: float) -> AudioBuffer:
        """With the last `seconds` falling into silence."""
        return self._edit("fade_out", seconds)

    def mix(self, other: AudioBuffer, *, gain_db: float = 0.0) -> AudioBuffer:
        """The sum with `other`, which is turned by `gain_db` first."""
        return self._edit("mix", gain_db, other=other)

    def to_mono(self) -> AudioBuffer:
        """One channel: the mean of all."""
        return self._edit("to_mono")

    def to_stereo(self) -> AudioBuffer:
        """Two channels: mono on both, or a downmix."""
        return self._edit("to_stereo")

    def apply_gain(self, gain_db: float) -> AudioBuffer:
        """Louder (or softer) by `gain_db`."""
        return self._edit("apply_gain", gain_db)

    def normalize_peak(self, dbfs: float = -1.0) -> AudioBuffer:
        """With the highest sample at `dbfs` dB re full scale."""
        return self._edit("normalize_peak", dbfs)

    def _edit(self, operation: str, *numbers: float, other: AudioBuffer | None = None) -> AudioBuffer:
        second = None if other is None else (other._samples, other._sample_rate)
        return AudioBuffer(*_sonicforge.edit(self._samples, self._sample_rate, operation, numbers, second))

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
