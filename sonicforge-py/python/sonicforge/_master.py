"""Mastering: plan, render, report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from . import _sonicforge
from ._analysis import Analysis, Analyzer, analyze
from ._audio import AudioBuffer
from ._documents import Document, Record
from ._io import Container, Dither, How, Reader, SampleFormat, StrPath, how
from ._processors import Limiter, Preset
from ._progress import Progress, listening
from ._sonicforge import CancelToken
from .exceptions import CancelledError, InvalidArgumentError

__all__ = [
    "BandReduction",
    "GainReduction",
    "Mastered",
    "MatchParts",
    "Plan",
    "ReductionTimeline",
    "Report",
    "Target",
    "gain_matched",
    "master",
    "master_file",
    "plan",
]


@dataclass(frozen=True, slots=True)
class Target(Record):
    """A loudness and a ceiling."""

    name: str
    """For people."""
    loudness_lufs: float
    """Integrated loudness in LUFS, -40 to -5."""
    ceiling_dbtp: float
    """Highest true peak in dBTP, -20 to 0."""

    def __post_init__(self) -> None:
        _sonicforge.normalize("target", json.dumps(self.to_dict()))

    @classmethod
    def named(cls, name: str) -> Target:
        """A target by its name (spotify, apple, youtube, club, podcast, broadcast …) or its loudness ("-14")."""
        return cls.from_dict(json.loads(_sonicforge.target(name)))

    @classmethod
    def custom(cls, *, loudness_lufs: float, ceiling_dbtp: float = -1.0) -> Target:
        """A target by its numbers."""
        return cls("custom", loudness_lufs, ceiling_dbtp)

    @classmethod
    def all(cls) -> list[Target]:
        """All named targets."""
        return [cls.from_dict(fields) for fields in json.loads(_sonicforge.targets())]


@dataclass(frozen=True, slots=True)
class MatchParts(Record):
    """Which parts of a reference are taken over."""

    loudness: bool = True
    """Integrated loudness; without it the track keeps its own."""
    spectrum: bool = True
    """1/3-octave spectrum."""
    width: bool = True
    """Share of the side."""
    dynamics: bool = True
    """Distance from the peaks to the loudness."""


class Plan:
    """What will be done: a chain and a limiter with numbers that can be read and changed."""

    __hash__ = None  # type: ignore[assignment]
    _kind: ClassVar[str] = "plan"

    def __init__(
        self,
        *,
        target: Target,
        chain: Preset,
        limiter: Limiter | None = None,
        max_gain_reduction_db: float = 12.0,
        notes: Sequence[str] = (),
        schema: int = 1,
    ) -> None:
        self.schema = schema
        """Version of the JSON form."""
        self.target = target
        """Loudness and ceiling."""
        self.chain = chain
        """The chain before the limiter. The gain into the limiter is found while rendering."""
        self.limiter = Limiter(ceiling_dbtp=target.ceiling_dbtp) if limiter is None else limiter
        """The limiter; its ceiling is the target's."""
        self.max_gain_reduction_db = max_gain_reduction_db
        """The budget: how much the limiter may take at the loudest peak, 0 to 40 dB."""
        self.notes = list(notes)
        """Why the chain is what it is."""

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Plan:
        """From plain dicts and lists."""
        return cls(
            target=Target.from_dict(fields["target"]),
            chain=Preset.from_dict(fields["chain"]),
            limiter=Limiter(**fields["limiter"]),
            max_gain_reduction_db=fields["max_gain_reduction_db"],
            notes=fields["notes"],
            schema=fields["schema"],
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain dicts and lists."""
        return {
            "schema": self.schema,
            "target": self.target.to_dict(),
            "chain": self.chain.to_dict(),
            "limiter": self.limiter.params,
            "max_gain_reduction_db": self.max_gain_reduction_db,
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """From JSON text; unknown fields and values out of range are errors."""
        return cls.from_dict(json.loads(_sonicforge.normalize("plan", text)))

    def to_json(self) -> str:
        """As the JSON text that all three languages read."""
        return _sonicforge.normalize("plan", json.dumps(self.to_dict()))

    def render(self, audio: AudioBuffer, *, progress: Progress = None, cancel: CancelToken | None = None) -> Mastered:
        """Runs the plan on a sound in memory, mono or stereo."""
        return _render(audio, self.to_json(), "", progress, cancel)

    def render_file(
        self,
        input: StrPath,
        output: StrPath,
        *,
        container: Container | None = None,
        sample_format: SampleFormat = "int24",
        dither: Dither = "tpdf",
        seed: int = 0,
        tags_from: StrPath | None = None,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> Report:
        """Runs the plan from a file to a file, in memory that does not grow with its length; see `master_file`."""
        options = how(container, sample_format, dither, seed, tags_from)
        return _render_file(input, output, options, self.to_json(), "", progress, cancel)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Plan) else NotImplemented

    def __repr__(self) -> str:
        return (
            f"Plan(target={self.target!r}, chain={self.chain!r}, limiter={self.limiter!r}, "
            f"max_gain_reduction_db={self.max_gain_reduction_db!r}, notes={self.notes!r})"
        )

    def __reduce__(self) -> tuple[Any, tuple[dict[str, Any]]]:
        return Plan.from_dict, (self.to_dict(),)


@dataclass(frozen=True, slots=True)
class GainReduction(Record):
    """How much gain was taken away."""

    max_db: float
    """The deepest, in dB >= 0."""
    mean_db: float
    """The mean over time, in dB >= 0."""


@dataclass(frozen=True, slots=True)
class BandReduction(Record):
    """The same for one band of a multiband compressor."""

    low_hz: float
    """Lower corner in Hz, 0 for the lowest band."""
    high_hz: float
    """Upper corner in Hz; half the sample rate for the highest band."""
    max_db: float
    """The deepest reduction, in dB >= 0."""
    mean_db: float
    """The mean reduction over time, in dB >= 0."""


@dataclass(frozen=True, slots=True)
class ReductionTimeline(Record):
    """Gain reduction over time."""

    step_s: float
    """Length of a step in seconds."""
    limiter_db: tuple[float, ...]
    """Deepest reduction of the limiter in the step, in dB >= 0."""
    bands_db: tuple[tuple[float, ...], ...]
    """Deepest reduction of each band of the (first) multiband compressor; lowest band first."""
    de_esser_db: tuple[float, ...]
    """Deepest reduction of the (first) de-esser; empty without one."""


@dataclass(frozen=True, slots=True)
class Report(Document):
    """Before, after, and how one became the other."""

    _kind: ClassVar[str] = "report"

    schema: int
    """Version of the JSON form."""
    target: Target
    """What was asked for."""
    plan: Plan
    """The chain that was run, with its numbers."""
    before: Analysis
    """The sound that came."""
    after: Analysis
    """The sound that was written, as it was written."""
    drive_db: float
    """Gain into the limiter that was found, in dB."""
    loudness_reached: bool
    """Whether the integrated loudness is within 0.1 LU of the target."""
    ceiling_met: bool
    """Whether the true peak is at or below the ceiling."""
    refusal: str | None
    """Why a promise was not kept, in words; None when both were."""
    needed_gain_reduction_db: float
    """Gain reduction at the loudest peak that the target needs, in dB; over the plan's budget means a refusal."""
    limiter: GainReduction
    """What the limiter took."""
    bands: tuple[BandReduction, ...]
    """What each band of the (first) multiband compressor took; empty without one."""
    de_esser: GainReduction | None
    """What the (first) de-esser took."""
    glue: GainReduction | None
    """What the (first) glue compressor took."""
    non_finite_samples: int
    """Samples that came in as NaN or infinite and were taken as silence."""
    latency_frames: int
    """Delay of the chain in frames; it was taken off."""
    passes: int
    """How often the sound was read."""
    gain_match_db: float
    """Gain in dB that brings the original to the loudness of the master."""
    timeline: ReductionTimeline = field(repr=False)
    """Gain reduction over time."""

    def summary(self) -> str:
        """A few lines for a terminal."""
        return _sonicforge.report_summary(self.to_json())

    def svg(self) -> str:
        """As a picture: one self-contained SVG."""
        return _sonicforge.report_svg(self.to_json())

    def html(self) -> str:
        """As a page: one self-contained HTML."""
        return _sonicforge.report_html(self.to_json())


class Mastered(NamedTuple):
    """A master and its report."""

    audio: AudioBuffer
    """The master."""
    report: Report
    """What came of it."""


def plan(
    audio: AudioBuffer | Analysis,
    *,
    target: Target | str | float | None = None,
    reference: AudioBuffer | Analysis | StrPath | None = None,
    match: MatchParts | None = None,
    progress: Progress = None,
    cancel: CancelToken | None = None,
) -> Plan:
    """Listens to a sound (or takes what was measured of it) and plans for a target, or after a reference.

    `target` is a name ("spotify", which it is when nothing is said), a loudness in LUFS (-14) or a `Target`. With a
    `reference`, a track or its analysis, the plan gives the sound the parts of it that `match` names; by default all.
    """
    to = _aim(target, reference, match)
    if reference is None and isinstance(audio, AudioBuffer):
        with listening(progress) as listener:
            text = _sonicforge.plan(audio.samples, audio.sample_rate, to, listener, cancel)
    elif reference is None:
        text = _sonicforge.plan_for(_hear(audio, progress, cancel).to_json(), to)
    else:
        like, heard = _hear(reference, None, cancel), _hear(audio, progress, cancel)
        text = _sonicforge.plan_match(heard.to_json(), like.to_json(), to)
    return Plan.from_dict(json.loads(text))


def master(
    audio: AudioBuffer,
    *,
    target: Target | str | float | None = None,
    reference: AudioBuffer | Analysis | StrPath | None = None,
    match: MatchParts | None = None,
    progress: Progress = None,
    cancel: CancelToken | None = None,
) -> Mastered:
    """Listens, plans and renders a sound in memory, mono or stereo; see `plan` for the target and the reference.

    Whether the target was reached, and why not, stands in the report.
    """
    if reference is not None:
        chosen = plan(audio, target=target, reference=reference, match=match, cancel=cancel)
        return chosen.render(audio, progress=progress, cancel=cancel)
    return _render(audio, None, _aim(target, reference, match), progress, cancel)


def master_file(
    input: StrPath,
    output: StrPath,
    *,
    target: Target | str | float | None = None,
    reference: AudioBuffer | Analysis | StrPath | None = None,
    match: MatchParts | None = None,
    container: Container | None = None,
    sample_format: SampleFormat = "int24",
    dither: Dither = "tpdf",
    seed: int = 0,
    tags_from: StrPath | None = None,
    progress: Progress = None,
    cancel: CancelToken | None = None,
) -> Report:
    """Listens, plans and renders from a file to a file, in memory that does not grow with its length.

    Tags and cover art travel along (or come from `tags_from`). The output appears under its name only when it is whole.
    See `plan` for the target and the reference, `AudioBuffer.write` for how the file is written.
    """
    to = _aim(target, reference, match)
    options = how(container, sample_format, dither, seed, tags_from)
    chosen = None
    if reference is not None:
        chosen = plan(_hear(input, None, cancel), reference=reference, match=match, cancel=cancel).to_json()
    return _render_file(input, output, options, chosen, to, progress, cancel)


def gain_matched(original: AudioBuffer, report: Report) -> AudioBuffer:
    """The original at the loudness of its master, for a fair comparison by ear."""
    return AudioBuffer(*_sonicforge.gain_matched(original.samples, original.sample_rate, report.to_json()))


def _aim(target: Target | str | float | None, reference: object, match: MatchParts | None) -> str:
    """The target, or the parts of the reference, as JSON."""
    if reference is not None:
        if target is not None:
            raise InvalidArgumentError("target and reference exclude each other; give one of them")
        return json.dumps((match or MatchParts()).to_dict())
    if match is not None:
        raise InvalidArgumentError("match says what to take from a reference, but there is no reference")
    target = "spotify" if target is None else target
    if isinstance(target, (str, int, float)) and not isinstance(target, bool):
        return _sonicforge.target(str(target))
    if isinstance(target, Target):
        return json.dumps(target.to_dict())
    raise InvalidArgumentError(
        f'target is {target!r}; expected a name such as "spotify", a loudness in LUFS such as -14, or a Target'
    )


def _hear(sound: AudioBuffer | Analysis | StrPath, progress: Progress, cancel: CancelToken | None) -> Analysis:
    """What is measured of a sound, of a file (block by block), or was measured before."""
    if isinstance(sound, Analysis):
        return sound
    if isinstance(sound, AudioBuffer):
        return analyze(sound, progress=progress, cancel=cancel)
    with Reader(sound) as reader:
        analyzer = Analyzer(sample_rate=reader.info.sample_rate, channels=reader.info.channels)
        for block in reader:
            if cancel is not None and cancel.cancelled:
                raise CancelledError("analyze was cancelled; nothing was written")
            analyzer.push(block)
    return analyzer.finish()


def _render(
    audio: AudioBuffer, plan: str | None, target: str, progress: Progress, cancel: CancelToken | None
) -> Mastered:
    with listening(progress) as listener:
        samples, report = _sonicforge.render(audio.samples, audio.sample_rate, plan, target, listener, cancel)
    return Mastered(AudioBuffer(*samples), Report.from_dict(json.loads(report)))


def _render_file(
    input: StrPath,
    output: StrPath,
    options: How,
    plan: str | None,
    target: str,
    progress: Progress,
    cancel: CancelToken | None,
) -> Report:
    with listening(progress) as listener:
        report = _sonicforge.render_file(input, output, options, plan, target, listener, cancel)
    return Report.from_dict(json.loads(report))
