"""The numpy rules: (channels, frames) float32, C order, no copy when none is needed, never a guess."""

import copy
import pickle

import numpy as np
import pytest

import sonicforge as sf
from sonicforge import _sonicforge
from sonicforge.exceptions import InvalidArgumentError


def address(array):
    return array.__array_interface__["data"][0]


def noise(channels=2, frames=1000, seed=7):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, frames)).astype(np.float32)


def test_a_c_contiguous_float32_array_is_shared():
    x = noise()
    audio = sf.AudioBuffer(x, 48_000)
    assert audio.samples is x
    assert address(np.asarray(audio)) == address(x)
    assert address(np.from_dlpack(audio)) == address(x)
    assert address(audio.channel(1)) == address(x) + 4 * 1000


def test_a_result_is_handed_over_without_a_copy():
    samples, _ = _sonicforge.signal('{"kind": "music", "seed": 1}', 48_000, 2, 1.0)
    assert not samples.flags.owndata  # numpy holds the memory that Rust allocated
    assert samples.base is not None
    assert samples.flags.writeable and samples.flags.c_contiguous
    samples[0, 0] = 0.25
    assert sf.AudioBuffer(samples, 48_000).samples is samples


def test_a_result_outlives_everything_else():
    channel = sf.testing.signal("constant", value=0.5, seconds=1.0).channel(1)
    assert channel.shape == (48_000,)
    assert (channel == 0.5).all()


def test_one_dimension_is_mono():
    x = noise()[0]
    audio = sf.AudioBuffer(x, 44_100)
    assert (audio.channels, audio.frames) == (1, 1000)
    assert address(audio.samples) == address(x)


def test_fortran_order_is_read_in_logical_order():
    interleaved = np.ascontiguousarray(noise().T)  # what soundfile.read gives
    planar = interleaved.T
    assert planar.flags.f_contiguous and not planar.flags.c_contiguous
    audio = sf.AudioBuffer(planar, 48_000)
    assert audio.samples.flags.c_contiguous
    np.testing.assert_array_equal(audio.samples, noise())


@pytest.mark.parametrize("view", [np.s_[:, ::2], np.s_[:, ::-1], np.s_[::-1, :], np.s_[:1, 3:700:7]])
def test_strided_views_are_copied_in_logical_order(view):
    x = noise()[view]
    audio = sf.AudioBuffer(x, 48_000)
    np.testing.assert_array_equal(audio.samples, x)
    assert audio.samples.flags.c_contiguous


def test_unaligned_and_big_endian_samples():
    x = noise()
    raw = np.frombuffer(b"\0" + x.tobytes(), dtype=np.uint8)[1:].view(np.float32).reshape(x.shape)
    np.testing.assert_array_equal(sf.AudioBuffer(raw, 48_000).samples, x)
    np.testing.assert_array_equal(sf.AudioBuffer(x.astype(">f4"), 48_000).samples, x)


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats_are_converted(dtype):
    x = noise().astype(dtype)
    audio = sf.AudioBuffer(x, 48_000)
    assert audio.samples.dtype == np.float32
    np.testing.assert_array_equal(audio.samples, x.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint8, bool, complex])
def test_integers_are_refused_because_their_full_scale_is_unknown(dtype):
    with pytest.raises(InvalidArgumentError, match=r"full scale.*32768"):
        sf.AudioBuffer(np.zeros((2, 100), dtype), 48_000)


@pytest.mark.parametrize("shape", [(48_000, 2), (1000, 1), (9, 100), (16, 4), (3, 2)])
def test_a_transposed_shape_is_a_value_error_that_says_what_to_do(shape):
    with pytest.raises(ValueError, match=r"pass x\.T"):
        sf.AudioBuffer(np.zeros(shape, np.float32), 48_000)


@pytest.mark.parametrize("shape", [(2, 2, 2), ()])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="channels, frames"):
        sf.AudioBuffer(np.zeros(shape, np.float32), 48_000)


@pytest.mark.parametrize("shape", [(2, 0), (2, 1), (8, 1), (0,), (1,)])
def test_no_frame_and_one_frame_are_fine(shape):
    audio = sf.AudioBuffer(np.zeros(shape, np.float32), 48_000)
    assert audio.frames == shape[-1]


@pytest.mark.parametrize("rate", [0, 7_999, 384_001, -1])
def test_sample_rates_out_of_range(rate):
    with pytest.raises(ValueError, match="8000 to 384000"):
        sf.AudioBuffer(np.zeros(10, np.float32), rate)


def test_interleaved_in_and_out():
    x = noise()
    flat = np.ascontiguousarray(x.T).ravel()
    for audio in (
        sf.AudioBuffer.from_interleaved(x.T, 48_000),
        sf.AudioBuffer.from_interleaved(flat, 48_000, channels=2),
    ):
        np.testing.assert_array_equal(audio.samples, x)
        np.testing.assert_array_equal(audio.interleaved(), x.T)
    for bad in ({"samples": flat}, {"samples": flat[:-1], "channels": 2}, {"samples": x.T, "channels": 3}):
        with pytest.raises(InvalidArgumentError):
            sf.AudioBuffer.from_interleaved(**bad, sample_rate=48_000)


def test_equality_repr_copy_and_pickle():
    audio = sf.AudioBuffer(noise(), 48_000)
    assert audio == sf.AudioBuffer(noise(), 48_000)
    assert audio != sf.AudioBuffer(noise(), 44_100)
    assert audio != sf.AudioBuffer(noise(seed=8), 48_000)
    assert audio != "audio"
    assert repr(audio) == "<AudioBuffer stereo, 48000 Hz, 1000 frames, 0.021 s>"
    assert audio.seconds == 1000 / 48_000
    for other in (pickle.loads(pickle.dumps(audio)), copy.deepcopy(audio), audio.copy()):
        assert other == audio
        assert not np.shares_memory(other.samples, audio.samples)


def test_array_protocol():
    audio = sf.AudioBuffer(noise(), 48_000)
    assert np.asarray(audio) is audio.samples
    assert np.array(audio) is not audio.samples
    assert np.asarray(audio, dtype=np.float64).dtype == np.float64
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        with pytest.raises(ValueError, match="without a copy"):
            np.asarray(audio, dtype=np.float64, copy=False)
