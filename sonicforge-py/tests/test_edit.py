"""What a user reaches for between reading and writing. Every edit gives a new buffer."""

import numpy as np
import pytest

import sonicforge as sf
from sonicforge.exceptions import InvalidArgumentError

EDITS = {
    "resample": lambda a: a.resample(44_100),
    "trim": lambda a: a.trim(1.0, 2.0),
    "fade_in": lambda a: a.fade_in(1.0),
    "fade_out": lambda a: a.fade_out(1.0),
    "mix": lambda a: a.mix(a, gain_db=-6.0),
    "to_mono": lambda a: a.to_mono(),
    "to_stereo": lambda a: a.to_stereo(),
    "apply_gain": lambda a: a.apply_gain(-3.0),
    "normalize_peak": lambda a: a.normalize_peak(-2.0),
}


@pytest.mark.parametrize("name", EDITS)
def test_the_original_stays_and_no_memory_is_shared(music, name):
    before = music.samples.copy()
    edited = EDITS[name](music)
    np.testing.assert_array_equal(music.samples, before)
    assert not np.shares_memory(edited.samples, music.samples)
    assert isinstance(edited, sf.AudioBuffer)
    assert edited.samples.flags.c_contiguous


def test_what_they_do(music):
    assert music.resample(96_000).frames == 2 * music.frames
    assert music.trim(1.0, 2.5) == sf.AudioBuffer(music.samples[:, 48_000:120_000], 48_000)
    assert music.trim(1.0).frames == music.frames - 48_000
    assert music.trim() == music
    faded = music.fade_in(0.5).fade_out(0.5).samples
    assert np.abs(faded[:, [0, -1]]).max() < 1e-4
    np.testing.assert_array_equal(faded[:, 24_000:-24_000], music.samples[:, 24_000:-24_000])
    np.testing.assert_allclose(music.mix(music).samples, 2 * music.samples, atol=1e-6)
    assert music.to_mono().channels == 1
    assert music.to_mono().to_stereo().channels == 2
    np.testing.assert_allclose(music.apply_gain(-20.0).samples, 0.1 * music.samples, atol=1e-7)
    assert np.abs(music.normalize_peak(-6.0).samples).max() == pytest.approx(10 ** (-6 / 20), abs=1e-6)
    assert np.abs(music.normalize_peak().samples).max() == pytest.approx(10 ** (-1 / 20), abs=1e-6)


def test_what_they_refuse(music):
    for bad in (
        lambda: music.resample(100),
        lambda: music.resample(-1),
        lambda: music.trim(-1.0),
        lambda: music.trim(2.0, 1.0),
        lambda: music.fade_in(float("nan")),
        lambda: music.mix(music.resample(44_100)),
        lambda: music.apply_gain(float("inf")),
    ):
        with pytest.raises(InvalidArgumentError):
            bad()
