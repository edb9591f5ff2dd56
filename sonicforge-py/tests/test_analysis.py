"""Measuring: whole, streamed, as JSON."""

import dataclasses
import json
import pickle

import numpy as np
import pytest

import sonicforge as sf
from sonicforge import _sonicforge
from sonicforge.exceptions import FormatError, InvalidArgumentError


def test_fields_are_those_of_the_core(music):
    text = _sonicforge.analyze(music.samples, music.sample_rate, None, None)
    assert sf.analyze(music).to_dict() == json.loads(text)


def test_a_tone_reads_what_it_must():
    analysis = sf.analyze(sf.testing.signal("sine", frequency_hz=997.0, level_dbfs=-23.0, seconds=10.0))
    assert analysis.integrated_lufs == pytest.approx(-23.0, abs=0.02)
    assert analysis.true_peak_dbtp == pytest.approx(-23.0, abs=0.02)
    assert analysis.correlation == pytest.approx(1.0)
    assert len(analysis.third_octave) == 30
    assert len(analysis.timeline.momentary_lufs) == 100


def test_silence_has_nothing_to_measure():
    analysis = sf.analyze(sf.testing.signal("silence", seconds=1.0))
    assert analysis.integrated_lufs is None
    assert analysis.true_peak_dbtp is None
    assert sf.Analysis.from_json(analysis.to_json()) == analysis


@pytest.mark.parametrize("block", [1_000, 4_801, 240_000])
def test_pushed_equals_whole_to_the_bit(music, block):
    analyzer = sf.Analyzer(sample_rate=48_000, channels=2)
    for start in range(0, music.frames, block):
        analyzer.push(music.samples[:, start : start + block])
    live = analyzer.current()
    assert live.frames > music.frames - 512
    assert live.momentary_lufs is not None
    assert analyzer.finish() == sf.analyze(music)
    for call in (analyzer.finish, analyzer.current, lambda: analyzer.push(music.samples)):
        with pytest.raises(InvalidArgumentError, match="finished"):
            call()


def test_read_only_arrays_can_be_measured(music):
    frozen = music.samples.copy()
    frozen.flags.writeable = False
    analyzer = sf.Analyzer(sample_rate=48_000, channels=2)
    analyzer.push(frozen)
    assert analyzer.finish() == sf.analyze(sf.AudioBuffer(frozen, 48_000)) == sf.analyze(music)


def test_json_and_pickle_are_exact(music):
    analysis = sf.analyze(music)
    assert sf.Analysis.from_json(analysis.to_json()) == analysis
    assert sf.Analysis.from_dict(analysis.to_dict()) == analysis
    assert pickle.loads(pickle.dumps(analysis)) == analysis
    with pytest.raises(dataclasses.FrozenInstanceError):
        analysis.frames = 3
    with pytest.raises(FormatError):
        sf.Analysis.from_json("{}")
    with pytest.raises(FormatError):
        sf.Analysis.from_dict({})


def test_eight_channels_and_nan():
    x = np.zeros((8, 48_000), np.float32)
    x[3, 7] = np.nan
    analysis = sf.analyze(sf.AudioBuffer(x, 48_000))
    assert (analysis.channels, analysis.non_finite_samples) == (8, 1)


def test_progress(music):
    news = []
    sf.analyze(music, progress=lambda stage, fraction: news.append((stage, fraction)))
    assert news[-1] == ("analyze", 1.0)


def test_wrong_blocks():
    analyzer = sf.Analyzer(sample_rate=48_000, channels=2)
    with pytest.raises(ValueError, match=r"pass x\.T"):
        analyzer.push(np.zeros((1000, 2), np.float32))
    with pytest.raises(InvalidArgumentError):
        sf.Analyzer(sample_rate=48_000, channels=9)
