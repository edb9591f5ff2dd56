"""What is remembered of a sound, and what AcoustID's web service is asked and told."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _sonicforge
from ._arrays import planar
from ._audio import AudioBuffer
from ._documents import Document, Record
from ._progress import Progress, listening
from ._sonicforge import CancelToken
from .exceptions import FormatError, InvalidArgumentError

__all__ = [
    "Chromaprint",
    "Fingerprint",
    "Fingerprinter",
    "Index",
    "Match",
    "acoustid_lookup",
    "acoustid_submit",
    "fingerprint",
]

Preset = Literal["test1", "test2", "test3", "test4", "test5"]


class Chromaprint:
    """AcoustID's fingerprint: 32 bits for each eighth of a second, equal to those of libchromaprint."""

    __slots__ = ("_encoded", "_preset", "_words")

    def __init__(self, words: ArrayLike, *, preset: Preset = "test2") -> None:
        """Of words that were kept, unsigned integers of 32 bits."""
        array = np.asarray(words)
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            raise InvalidArgumentError(
                f"the words are {array.dtype} of shape {array.shape}; expected one row of integers of 32 bits"
            )
        if array.size and not (array.min() >= 0 and array.max() < 1 << 32):
            raise InvalidArgumentError(
                "a word is negative or has more than 32 bits; pass signed words .astype(np.uint32)"
            )
        self._words = array.astype(np.uint32)
        self._words.flags.writeable = False
        self._preset: str = preset
        self._encoded = _sonicforge.chromaprint_encode(preset, self._words.tolist(), 0.0)[0]

    @classmethod
    def decode(cls, text: str) -> Self:
        """Reads the compressed base64 text that `encode` or any Chromaprint wrote."""
        preset, words = _sonicforge.chromaprint_decode(text)
        return cls(words, preset=preset)  # type: ignore[arg-type]

    def encode(self) -> str:
        """The compressed base64 text that AcoustID takes."""
        return self._encoded

    @property
    def words(self) -> NDArray[np.uint32]:
        """One word per step, read-only."""
        return self._words

    @property
    def preset(self) -> str:
        """The algorithm, "test1" to "test5"; AcoustID takes "test2" only."""
        return self._preset

    def simhash(self) -> int:
        """One word of 32 bits for the whole sound; similar sounds differ in few bits."""
        return _sonicforge.chromaprint_encode(self._preset, self._words.tolist(), 0.0)[1]

    def first(self, seconds: float) -> Chromaprint:
        """The words of the first seconds, as if the sound had ended there: AcoustID wants the first 120."""
        count = _sonicforge.chromaprint_encode(self._preset, self._words.tolist(), seconds)[2]
        return Chromaprint(self._words[:count], preset=self._preset)  # type: ignore[arg-type]

    @classmethod
    def from_dict(cls, text: Any) -> Self:  # noqa: ANN401
        """From what JSON has for it: its compressed text."""
        if not isinstance(text, str):
            raise FormatError(f"the chromaprint is a {type(text).__name__}; expected its compressed text")
        return cls.decode(text)

    def to_dict(self) -> str:
        """What JSON has for it: its compressed text."""
        return self._encoded

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chromaprint) and self._encoded == other._encoded

    def __hash__(self) -> int:
        return hash(self._encoded)

    def __len__(self) -> int:
        return len(self._words)

    def __repr__(self) -> str:
        return f"Chromaprint({len(self)} words, preset={self._preset!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _decode, (self._encoded,)


def _decode(text: str) -> Chromaprint:
    return Chromaprint.decode(text)


@dataclass(frozen=True, slots=True)
class Fingerprint(Document):
    """What is remembered of one sound."""

    _kind: ClassVar[str] = "fingerprint"

    schema: int
    """Version of the JSON form."""
    sample_rate: int
    """Of the sound, in Hz."""
    channels: int
    """1 to 8."""
    frames: int
    """Length of the sound in frames."""
    seconds: float
    """Length of the sound in seconds."""
    non_finite_samples: int
    """Samples that were NaN or infinite. NaN is heard as 0, infinity as full scale."""
    chromaprint: Chromaprint = field(repr=False)
    """AcoustID's fingerprint; in JSON its compressed text."""
    landmarks: str = field(repr=False)
    """What an `Index` keeps, as base64 text."""


@dataclass(frozen=True, slots=True)
class Match(Record):
    """A track that sounds in a query."""

    id: str
    """As it was inserted."""
    score: float
    """Standard deviations above chance, less what the many trials take off."""
    query_start_s: float
    """Where the track begins to sound in the query, in seconds."""
    query_end_s: float
    """Where it ends, in seconds."""
    track_start_s: float
    """What is heard at `query_start_s`, in seconds from the beginning of the track."""
    pitch_factor: float
    """How much higher the query is than the track: 1.06 is a semitone."""
    tempo_factor: float
    """How much faster the query is than the track."""


class Index:
    """Knows tracks again from excerpts: through noise and codecs, in another key, at another speed. In memory."""

    def __init__(self) -> None:
        self._native = _sonicforge.Index()

    def insert(self, id: str, fingerprint: Fingerprint) -> None:
        """Adds a track. There must not be one of this name."""
        self._native.insert(id, fingerprint.landmarks)

    def remove(self, id: str) -> bool:
        """Takes a track out; whether it was there."""
        return self._native.remove(id)

    def __len__(self) -> int:
        """How many tracks there are."""
        return self._native.size()

    def query(
        self,
        audio: AudioBuffer,
        *,
        limit: int = 1,
        threshold: float | None = None,
        max_pitch_semitones: float = 3.0,
        max_tempo_percent: float = 10.0,
    ) -> list[Match]:
        """Which tracks sound in `audio`: the best first, at most `limit`.

        When nothing is found at once it also looks in other keys, up to `max_pitch_semitones` (0 to 3) off, and at
        other speeds, up to `max_tempo_percent` (0 to 10) off. Of 592 excerpts of unknown tracks two reached the default
        threshold.
        """
        options: dict[str, Any] = {
            "limit": limit,
            "max_pitch_semitones": max_pitch_semitones,
            "max_tempo_percent": max_tempo_percent,
        }
        if threshold is not None:
            options["threshold"] = threshold
        found = json.loads(self._native.query(audio.samples, audio.sample_rate, json.dumps(options)))
        return [Match.from_dict(fields) for fields in found]


def fingerprint(
    audio: AudioBuffer,
    *,
    preset: Preset = "test2",
    silence_threshold: int | None = None,
    progress: Progress = None,
    cancel: CancelToken | None = None,
) -> Fingerprint:
    """Fingerprints a whole sound of 1 to 8 channels.

    Leading silence is left out of the Chromaprint until the mean magnitude of 5 ms is above `silence_threshold`, 0 to
    32767 steps of 16 bit; None leaves that to the preset ("test4" has 50, the others keep silence).
    """
    with listening(progress) as listener:
        text = _sonicforge.fingerprint(
            audio.samples, audio.sample_rate, preset, _threshold(silence_threshold), listener, cancel
        )
    return Fingerprint.from_dict(json.loads(text))


class Fingerprinter:
    """Fingerprints a sound while it goes by: push its blocks, of any lengths, then finish.

    The result is the same to the bit as that of `fingerprint`, however the sound was cut.
    """

    def __init__(
        self, *, sample_rate: int, channels: int, preset: Preset = "test2", silence_threshold: int | None = None
    ) -> None:
        self._native = _sonicforge.Fingerprinter(sample_rate, channels, preset, _threshold(silence_threshold))
        self._channels = channels

    def push(self, block: ArrayLike) -> None:
        """Hears the next frames, `(channels, frames)`."""
        self._native.push(planar(block, channels=self._channels))

    def finish(self) -> Fingerprint:
        """Gives the fingerprint. Nothing can be pushed after it."""
        return Fingerprint.from_dict(json.loads(self._native.finish()))


def _threshold(value: int | None) -> int | None:
    if value is not None and not 0 <= value <= 32_767:
        raise InvalidArgumentError(f"silence_threshold is {value}; expected 0 to 32767 steps of 16 bit")
    return value


def acoustid_lookup(fingerprint: Fingerprint, *, client: str, meta: Iterable[str] = ()) -> dict[str, str]:
    """The parameters of a look-up, to be posted as a form to https://api.acoustid.org/v2/lookup.

    `client` is the key of your application; `meta` are the things that are wanted besides ids, as "recordings". The
    fingerprint is cut to its first 120 s here. Nothing speaks to a network.
    """
    text = fingerprint.chromaprint.encode()
    return dict(_sonicforge.acoustid_lookup(client, fingerprint.seconds, text, list(meta)))


def acoustid_submit(
    tracks: Iterable[tuple[Fingerprint, Mapping[str, Any]]], *, client: str, user: str
) -> dict[str, str]:
    """The parameters of a submission, to be posted as a form to https://api.acoustid.org/v2/submit.

    Of each track its fingerprint and what is known of it: any of `bitrate_kbps`, `file_format`, `mbid`, `track`,
    `artist`, `album`, `album_artist`, `year`, `track_number`, `disc_number`. `client` is the key of your application,
    `user` that of its user. Nothing speaks to a network.
    """
    listed = [(f.seconds, f.chromaprint.encode(), json.dumps(dict(known))) for f, known in tracks]
    return dict(_sonicforge.acoustid_submit(client, user, listed))
