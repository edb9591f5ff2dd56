"""What is remembered of a sound, and what AcoustID's web service is asked and told."""

from __future__ import annotations

import json
import os
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
    "DuplicateGroup",
    "DuplicatePair",
    "DuplicateReport",
    "Fingerprint",
    "Fingerprinter",
    "Index",
    "IndexStats",
    "IndexTrack",
    "Match",
    "Recovery",
    "ScanReport",
    "SharedStretch",
    "acoustid_lookup",
    "acoustid_submit",
    "fingerprint",
    "fingerprint_file",
    "merge_topk",
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
    pcm: str | None
    """Of sounds that are equal to the bit: 32 hexadecimal digits, when `fingerprint_file` was asked for them."""
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


@dataclass(frozen=True, slots=True)
class IndexTrack(Record):
    """A track as an index keeps it."""

    id: str
    """What it is called in the index."""
    seconds: float
    """Length of the sound in seconds."""
    note: str
    """What was given with it."""
    pcm: str | None
    """Of sounds that are equal to the bit: 32 hexadecimal digits."""
    chromaprint: Chromaprint = field(repr=False)
    """For whole files."""
    landmarks: str = field(repr=False)
    """For excerpts, as base64 text."""


@dataclass(frozen=True, slots=True)
class Recovery(Record):
    """What was found when an index was opened."""

    dropped_bytes: int
    """Bytes at the end of the log that were never acknowledged."""
    dropped_files: tuple[str, ...]
    """Files that nothing named: of a segment that was being written."""


@dataclass(frozen=True, slots=True)
class IndexStats(Record):
    """How large an index is."""

    tracks: int
    """Tracks that can be found."""
    postings: int
    """Places of pairs that are kept."""
    segments: int
    """Segments, in files and in memory."""
    bytes: int
    """Of segments and log, on disk or in memory."""
    recovery: Recovery
    """What was found when the index was opened."""


@dataclass(frozen=True, slots=True)
class SharedStretch(Record):
    """A stretch that two tracks have in common, in seconds."""

    first_start_s: float
    """Where it begins in the first track."""
    first_end_s: float
    """Where it ends there."""
    second_start_s: float
    """Where it begins in the second track."""
    second_end_s: float
    """Where it ends there."""


@dataclass(frozen=True, slots=True)
class DuplicatePair(Record):
    """Two tracks that are related, and the evidence."""

    first: str
    """The longer one, or the one whose id comes first."""
    second: str
    """The other."""
    relation: str
    """`identical`, `transcode`, `remaster`, `trimmed`, `sped`, `contains` or `shares`."""
    score: float | None
    """Mean score of the ten-second windows that agree, in standard deviations above chance; of equal samples None."""
    agreement: float
    """Of the windows that could be compared, the share that agrees, 0 to 1."""
    bit_error: float | None
    """Share of the bits of their Chromaprints that differ, where these can be laid over each other."""
    pitch_factor: float
    """How much higher the first is."""
    tempo_factor: float
    """How much faster the first is."""
    stretches: tuple[SharedStretch, ...]
    """What they have in common."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup(Record):
    """Tracks that are the same work, each connected with the others by pairs."""

    ids: tuple[str, ...]
    """The tracks, in order of their names."""
    pairs: tuple[DuplicatePair, ...]
    """What connects them."""


@dataclass(frozen=True, slots=True)
class DuplicateReport(Record):
    """All duplicates of an index."""

    schema: int
    """Version of the JSON form."""
    tracks: int
    """How many tracks were compared."""
    groups: tuple[DuplicateGroup, ...]
    """Tracks that are the same work."""
    shares: tuple[DuplicatePair, ...]
    """Pairs that only have a part in common."""

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    def to_table(self) -> str:
        """As a table for people."""
        return _sonicforge.duplicates_table(json.dumps(self.to_dict()))


@dataclass(frozen=True, slots=True)
class ScanReport(Record):
    """What became of the files of a folder."""

    added: tuple[str, ...]
    """Files that were new or had changed, by their paths within the folder, which are their ids."""
    unchanged: int
    """Files that the index knew already."""
    removed: tuple[str, ...]
    """Tracks whose files are gone."""
    failed: tuple[tuple[str, ...], ...]
    """Files that could not be read, and why."""
    seconds: float
    """Seconds of sound that were heard."""


class Index:
    """Knows tracks again: from excerpts, through noise, in another key, at another speed; and which are one work.

    `Index()` is in memory, `Index.open(path)` in a folder that survives. Calls from several threads take turns, but
    for queries, which see what there was when they began.
    """

    def __init__(self) -> None:
        self._native = _sonicforge.Index(None, "{}")

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        durability: Literal["power", "process"] = "power",
        lock_timeout_s: float = 5.0,
        log_mib: float = 4.0,
        read_only: bool = False,
        background: bool = True,
    ) -> Self:
        """One in a folder, which is made when it is not there.

        One process writes, any number may read (`read_only`, `refresh`). An acknowledged change survives a power cut,
        or with `durability="process"` the death of the process only. Another writer is waited for `lock_timeout_s`.
        A segment is written when the log has `log_mib` MiB; segments are merged in a thread of their own unless
        `background` is False.
        """
        index = cls.__new__(cls)
        options = {
            "durability": durability,
            "lock_timeout_s": lock_timeout_s,
            "log_mib": log_mib,
            "read_only": read_only,
            "background": background,
        }
        index._native = _sonicforge.Index(path, json.dumps(options))
        return index

    def insert(self, id: str, fingerprint: Fingerprint, *, note: str = "") -> None:
        """Adds a track, and a note of yours. There must not be one of this name."""
        self._native.apply([(id, json.dumps(fingerprint.to_dict()), note)], [])

    def remove(self, id: str) -> bool:
        """Takes a track out; whether it was there."""
        return self._native.remove(id)

    def apply(self, *, inserts: Mapping[str, Fingerprint] | None = None, removes: Iterable[str] = ()) -> None:
        """Many changes, all of them or none, and a single wait for the disk: first some go, then some come."""
        comes = [(id, json.dumps(print_.to_dict()), "") for id, print_ in (inserts or {}).items()]
        self._native.apply(comes, list(removes))

    def __len__(self) -> int:
        """How many tracks there are."""
        return self._native.size()

    def __contains__(self, id: str) -> bool:
        """Whether there is a track of this name."""
        return self._native.contains(id)

    def ids(self) -> list[str]:
        """The names of all tracks."""
        return self._native.ids()

    def get(self, id: str) -> IndexTrack | None:
        """All that is known of a track."""
        found = self._native.get(id)
        return None if found is None else IndexTrack.from_dict(json.loads(found))

    def stats(self) -> IndexStats:
        """How large the index is, and what was found when it was opened."""
        return IndexStats.from_dict(json.loads(self._native.stats()))

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
        other speeds, up to `max_tempo_percent` (0 to 10) off.
        """
        options = _query(limit, threshold, max_pitch_semitones, max_tempo_percent)
        found = json.loads(self._native.query(audio.samples, audio.sample_rate, options))
        return [Match.from_dict(fields) for fields in found]

    def query_batch(
        self,
        sounds: Iterable[AudioBuffer],
        *,
        limit: int = 1,
        threshold: float | None = None,
        max_pitch_semitones: float = 3.0,
        max_tempo_percent: float = 10.0,
        threads: int = 0,
    ) -> list[list[Match]]:
        """Many queries, in their order, on this many threads (0: one for each processor)."""
        options = _query(limit, threshold, max_pitch_semitones, max_tempo_percent)
        listed = [(audio.samples, audio.sample_rate) for audio in sounds]
        found = json.loads(self._native.query_batch(listed, options, threads))
        return [[Match.from_dict(fields) for fields in matches] for matches in found]

    def match_svg(self, audio: AudioBuffer, match: Match) -> str:
        """Why a track was found, as one SVG: peaks over the spectrogram, and where the landmarks say it lies."""
        return self._native.match_svg(audio.samples, audio.sample_rate, json.dumps(match.to_dict()))

    def duplicates(
        self,
        *,
        max_pitch_semitones: float = 1.0,
        max_tempo_percent: float = 6.0,
        probes: int = 3,
        min_shared_s: float = 20.0,
        threads: int = 0,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> DuplicateReport:
        """All tracks that are one work, in groups, and all pairs that share a part of at least `min_shared_s`.

        `probes` places of each track are looked for in the others: more find shorter parts.
        """
        options = {
            "max_pitch_semitones": max_pitch_semitones,
            "max_tempo_percent": max_tempo_percent,
            "probes": probes,
            "min_shared_s": min_shared_s,
            "threads": threads,
        }
        with listening(progress) as listener:
            text = self._native.duplicates(json.dumps(options), listener, cancel)
        return DuplicateReport.from_dict(json.loads(text))

    def scan(
        self,
        folder: str | os.PathLike[str],
        *,
        forget: bool = True,
        pcm_hash: bool = True,
        threads: int = 0,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> ScanReport:
        """Brings the index up to date with the sound files of a folder and all below it.

        Ids are paths within the folder. Only files that are new or have changed are heard, and what was heard is kept
        every few files, so a scan that was stopped goes on. `forget` takes out tracks whose files are gone.
        """
        options = {"forget": forget, "pcm_hash": pcm_hash, "threads": threads}
        with listening(progress) as listener:
            text = self._native.scan(folder, json.dumps(options), listener, cancel)
        return ScanReport.from_dict(json.loads(text))

    def flush(self) -> None:
        """Writes what only the log has as a segment, and waits for merges. Not needed for durability."""
        self._native.flush()

    def refresh(self) -> bool:
        """In an index that only reads: shows what was written since. Whether there was anything."""
        return self._native.refresh()

    def check(self) -> None:
        """Reads every byte that is kept; raises `StoreError` that names what is damaged."""
        self._native.check()

    def export_file(self, path: str | os.PathLike[str]) -> None:
        """Writes all tracks as one segment file, to be imported elsewhere."""
        self._native.export_file(path)

    def import_file(self, path: str | os.PathLike[str]) -> None:
        """Adds all tracks of a file that `export_file` wrote; none of them may be there already."""
        self._native.import_file(path)

    def close(self) -> None:
        """Lets others write. An index that is not closed is when it is collected."""
        self._native.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _query(limit: int, threshold: float | None, max_pitch_semitones: float, max_tempo_percent: float) -> str:
    options: dict[str, Any] = {
        "limit": limit,
        "max_pitch_semitones": max_pitch_semitones,
        "max_tempo_percent": max_tempo_percent,
    }
    if threshold is not None:
        options["threshold"] = threshold
    return json.dumps(options)


def merge_topk(answers: Iterable[Iterable[Match]], limit: int) -> list[Match]:
    """The answers of several indexes to one query as that of one: the best `limit` of all, each track once."""
    best: dict[str, Match] = {}
    for match in sorted((m for answer in answers for m in answer), key=lambda m: (-m.score, m.id)):
        best.setdefault(match.id, match)
    return list(best.values())[:limit]


def fingerprint_file(path: str | os.PathLike[str], *, preset: Preset = "test2", pcm_hash: bool = False) -> Fingerprint:
    """Fingerprints a sound file block by block, so that it may be of any length."""
    return Fingerprint.from_dict(json.loads(_sonicforge.fingerprint_file(path, preset, pcm_hash)))


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
