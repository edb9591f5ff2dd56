"""Files in and out, whole or block by block."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from . import _sonicforge
from ._arrays import Samples, planar
from ._documents import Record

__all__ = ["FileInfo", "Picture", "Reader", "Tags", "Writer", "info", "tags"]

StrPath: TypeAlias = str | os.PathLike[str]
Container: TypeAlias = Literal["wav", "flac"]
SampleFormat: TypeAlias = Literal["int16", "int24", "float32"]
Dither: TypeAlias = Literal["none", "tpdf", "shaped"]
How: TypeAlias = tuple[str | None, str, str, int, str | None]


def how(
    container: Container | None, sample_format: SampleFormat, dither: Dither, seed: int, tags_from: StrPath | None
) -> How:
    """The write options as the native half takes them."""
    return container, sample_format, dither, seed, None if tags_from is None else os.fspath(tags_from)


@dataclass(frozen=True, slots=True)
class FileInfo(Record):
    """What a file says about itself."""

    sample_rate: int
    """Frames per second, in Hz."""
    channels: int
    """How many channels there are."""
    frames: int | None
    """Length in frames after trimming; None when the file does not state it exactly."""
    format: str
    """The container: wav, aiff, flac, mp3, ogg, m4a, caf, aac."""
    codec: str
    """The codec: pcm_s16le, flac, mp3, vorbis, aac, alac, opus …"""
    bits_per_sample: int | None
    """Bits per sample, of lossless codecs."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a file, such as a cover."""

    kind: int
    """What it shows, as ID3 and FLAC number it: 3 is the front cover."""
    mime_type: str
    """Such as image/jpeg."""
    description: str
    """Mostly empty."""
    data: bytes = field(repr=False)
    """The bytes of the picture file."""


@dataclass(frozen=True, slots=True)
class Tags:
    """Text tags and pictures of a file. Names are those of Vorbis comments, in lower case: title, artist, album …"""

    texts: tuple[tuple[str, str], ...]
    """Names and texts; a name may come more than once."""
    pictures: tuple[Picture, ...]
    """Covers and the like."""

    def get(self, name: str) -> str | None:
        """The first text of this name, whatever its case."""
        return next((text for key, text in self.texts if key.lower() == name.lower()), None)


def info(path: StrPath) -> FileInfo:
    """Rate, channels, length, format and codec of a file, without decoding it."""
    return FileInfo.from_dict(json.loads(_sonicforge.info(path)))


def tags(path: StrPath) -> Tags:
    """The tags of a file."""
    texts, pictures = _sonicforge.tags(path)
    return Tags(tuple(texts), tuple(Picture(*parts) for parts in pictures))


class Reader:
    """Decodes a file block by block, so that it need not fit in memory.

    with sf.Reader("long.flac") as reader:
        for block in reader: ...
    """

    def __init__(self, path: StrPath, *, block_frames: int = 65_536) -> None:
        self._native = _sonicforge.Reader(path)
        self._block_frames = block_frames
        self.info = FileInfo.from_dict(json.loads(self._native.info()))
        """What the file says about itself."""

    def read(self, frames: int) -> Samples:
        """The next frames, `(channels, frames)`: fewer at the end of the sound, none after it."""
        return self._native.read(frames)

    def rewind(self) -> None:
        """Goes back to the first frame."""
        self._native.rewind()

    def __iter__(self) -> Iterator[Samples]:
        while (block := self.read(self._block_frames)).shape[1]:
            yield block

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Writer:
    """Encodes a file block by block. It bears a temporary name until it is finished.

    with sf.Writer("out.wav", sample_rate=48_000, channels=2) as writer:
        writer.write(block)

    When the `with` block raises, nothing is left behind.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        sample_rate: int,
        channels: int,
        container: Container | None = None,
        sample_format: SampleFormat = "int24",
        dither: Dither = "tpdf",
        seed: int = 0,
        tags_from: StrPath | None = None,
    ) -> None:
        options = how(container, sample_format, dither, seed, tags_from)
        self._native = _sonicforge.Writer(path, sample_rate, channels, options)
        self._channels = channels

    def write(self, block: ArrayLike) -> None:
        """Appends the next frames, `(channels, frames)`."""
        self._native.write(np.array(planar(block, channels=self._channels)))

    def finish(self) -> None:
        """Completes the file and gives it its name."""
        self._native.finish()

    def discard(self) -> None:
        """Throws away what was written."""
        self._native.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self.discard()
