"""Listening: everything that can be measured of a sound."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from . import _sonicforge
from ._arrays import planar
from ._audio import AudioBuffer
from ._documents import Document, Record
from ._progress import Progress, listening
from ._sonicforge import CancelToken

__all__ = ["Analysis", "Analyzer", "BandLevel", "Live", "Timeline", "analyze"]


@dataclass(frozen=True, slots=True)
class BandLevel(Record):
    """One band of a spectrum."""

    center_hz: float
    """Nominal centre frequency in Hz (IEC 61260)."""
    level_db: float
    """Mean square in the band, in dB re 1.0."""


@dataclass(frozen=True, slots=True)
class Timeline(Record):
    """Values at equal steps; all are equally long."""

    step_s: float
    """Length of a step in seconds."""
    momentary_lufs: tuple[float | None, ...]
    """Momentary loudness in LUFS at the end of the step; None in silence."""
    short_term_lufs: tuple[float | None, ...]
    """Short-term loudness in LUFS at the end of the step; None in silence."""
    minimum: tuple[float, ...]
    """Lowest sample of any channel in the step."""
    maximum: tuple[float, ...]
    """Highest sample of any channel in the step."""


@dataclass(frozen=True, slots=True)
class Analysis(Document):
    """What was measured of one sound. None means that there was nothing to measure: silence, or too short."""

    _kind: ClassVar[str] = "analysis"

    schema: int
    """Version of the JSON form."""
    sample_rate: int
    """In Hz."""
    channels: int
    """1 to 8."""
    frames: int
    """Length in frames."""
    seconds: float
    """Length in seconds."""
    integrated_lufs: float | None
    """Gated programme loudness of BS.1770-4 in LUFS."""
    momentary_max_lufs: float | None
    """Loudest 400 ms in LUFS."""
    short_term_max_lufs: float | None
    """Loudest 3 s in LUFS."""
    loudness_range_lu: float | None
    """Loudness range of EBU Tech 3342 in LU."""
    true_peak_dbtp: float | None
    """Highest true peak of any channel in dB re full scale."""
    sample_peak_dbfs: float | None
    """Highest sample of any channel in dB re full scale."""
    rms_dbfs: float | None
    """Root of the mean square of all samples, in dB re 1.0."""
    plr_lu: float | None
    """True peak minus integrated loudness, in LU."""
    crest_db: float | None
    """Sample peak minus RMS, in dB."""
    third_octave: tuple[BandLevel, ...] = field(repr=False)
    """Mean square per 1/3 octave, averaged over time and channels."""
    side_third_octave: tuple[BandLevel, ...] = field(repr=False)
    """The same of the side signal; empty unless there are two channels."""
    centroid_hz: float | None
    """Centre of mass of the amplitude spectrum, in Hz: higher is brighter."""
    correlation: float | None
    """Correlation of left and right, -1 to 1."""
    width: float | None
    """Side energy as a share of mid and side energy, 0 (mono) to 1."""
    dc_offset: tuple[float, ...]
    """Mean of each channel, linear."""
    clipped_samples: int
    """Samples at or over full scale, in runs."""
    non_finite_samples: int
    """Samples that were NaN or infinite; they were measured as 0."""
    timeline: Timeline = field(repr=False)
    """How the sound goes over time."""

    def svg(self) -> str:
        """As a picture: one self-contained SVG."""
        return _sonicforge.analysis_svg(self.to_json())


@dataclass(frozen=True, slots=True)
class Live(Record):
    """What a meter on a screen shows."""

    frames: int
    """Frames measured so far."""
    momentary_lufs: float | None
    """Loudness of the last 400 ms in LUFS."""
    short_term_lufs: float | None
    """Loudness of the last 3 s in LUFS."""
    integrated_lufs: float | None
    """Gated loudness since the beginning in LUFS."""
    true_peak_dbtp: float | None
    """Highest true peak since the beginning in dBTP."""


def analyze(audio: AudioBuffer, *, progress: Progress = None, cancel: CancelToken | None = None) -> Analysis:
    """Measures a whole sound of 1 to 8 channels."""
    with listening(progress) as listener:
        text = _sonicforge.analyze(audio.samples, audio.sample_rate, listener, cancel)
    return Analysis.from_dict(json.loads(text))


class Analyzer:
    """Measures a sound while it goes by: push its blocks, of any lengths, then finish.

    The result is the same to the bit as that of `analyze`, however the sound was cut.
    """

    def __init__(self, *, sample_rate: int, channels: int) -> None:
        self._native = _sonicforge.Analyzer(sample_rate, channels)
        self._channels = channels

    def push(self, block: ArrayLike) -> None:
        """Measures the next frames, `(channels, frames)`."""
        self._native.push(planar(block, channels=self._channels))

    def current(self) -> Live:
        """What has been measured so far."""
        fields: dict[str, Any] = json.loads(self._native.current())
        return Live.from_dict(fields)

    def finish(self) -> Analysis:
        """Gives the analysis. Nothing can be pushed after it."""
        return Analysis.from_dict(json.loads(self._native.finish()))
