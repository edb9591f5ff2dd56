"""Files in and out, whole, as bytes and block by block."""

import errno
import os
import pathlib

import numpy as np
import pytest

import sonicforge as sf
from sonicforge.exceptions import (
    AudioFileNotFoundError,
    AudioIOError,
    FormatError,
    InvalidArgumentError,
    SonicForgeError,
)


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize(("sample_format", "step"), [("int16", 2.0**-15), ("int24", 2.0**-23)])
def test_what_is_written_comes_back(tmp_path, music, name, sample_format, step):
    path = tmp_path / name
    music.write(path, sample_format=sample_format)
    again = sf.AudioBuffer.read(str(path))
    assert (again.sample_rate, again.samples.shape) == (music.sample_rate, music.samples.shape)
    assert np.abs(again.samples - music.samples).max() <= 1.6 * step  # TPDF dither
    info = sf.info(path)
    assert (info.sample_rate, info.channels, info.frames) == (48_000, 2, music.frames)
    assert info.format == name[2:]
    assert info.bits_per_sample == int(sample_format[3:])


def test_float_files_and_bytes_are_exact(tmp_path, music):
    music.write(tmp_path / "a.wav", sample_format="float32")
    assert sf.AudioBuffer.read(tmp_path / "a.wav") == music
    data = music.write_bytes(container="wav", sample_format="float32")
    assert data == (tmp_path / "a.wav").read_bytes()
    for kind in (bytes, bytearray, memoryview):
        assert sf.AudioBuffer.read_bytes(kind(data)) == music


def test_the_seed_of_the_dither(music):
    files = {seed: music.write_bytes(container="wav", sample_format="int16", seed=seed) for seed in (0, 1)}
    assert files[0] == music.write_bytes(container="wav", sample_format="int16")
    assert files[0] != files[1]


def test_a_strided_array_is_written_as_it_reads(tmp_path, music):
    view = music.samples[::-1, ::3]
    sf.AudioBuffer(view, 16_000).write(tmp_path / "a.wav", sample_format="float32")
    np.testing.assert_array_equal(sf.AudioBuffer.read(tmp_path / "a.wav").samples, view)


def test_reader_and_writer_stream(tmp_path, music):
    path = tmp_path / "a.flac"
    with sf.Writer(path, sample_rate=48_000, channels=2, sample_format="int16") as writer:
        for start in range(0, music.frames, 10_007):
            block = music.samples[:, start : start + 10_007]
            before = block.copy()
            writer.write(block)
            np.testing.assert_array_equal(block, before)
        assert not path.exists()
    whole = tmp_path / "b.flac"
    music.write(whole, sample_format="int16")
    assert path.read_bytes() == whole.read_bytes()
    with sf.Reader(path, block_frames=7_777) as reader:
        assert reader.info.frames == music.frames
        blocks = list(reader)
        assert {block.shape[1] for block in blocks[:-1]} == {7_777}
        assert reader.read(100).shape == (2, 0)
        reader.rewind()
        np.testing.assert_array_equal(reader.read(100), blocks[0][:, :100])
    assert sf.AudioBuffer(np.concatenate(blocks, axis=1), 48_000) == sf.AudioBuffer.read(path)


def test_nothing_is_left_of_a_writer_that_failed(tmp_path, music):
    with (
        pytest.raises(RuntimeError, match="mine"),
        sf.Writer(tmp_path / "a.wav", sample_rate=48_000, channels=2) as writer,
    ):
        writer.write(music.samples)
        raise RuntimeError("mine")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InvalidArgumentError, match="closed"):
        writer.finish()


def test_missing_files_and_folders(tmp_path, music):
    with pytest.raises(FileNotFoundError) as caught:
        sf.AudioBuffer.read(tmp_path / "none.wav")
    assert isinstance(caught.value, AudioFileNotFoundError)
    assert (caught.value.code, caught.value.errno) == ("SF_IO", errno.ENOENT)
    assert caught.value.filename == str(tmp_path / "none.wav")
    with pytest.raises(OSError, match="cannot write"):
        music.write(tmp_path / "none" / "a.wav")


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_target_that_is_no_file(music):
    with pytest.raises(SonicForgeError):
        music.write("/dev/full", container="wav")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path, music):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError):
        music.write(tmp_path / "a.wav")


def test_broken_bytes_are_a_format_error(music):
    data = music.write_bytes(container="flac")
    for bad in (b"", b"not audio at all" * 10, data[: len(data) // 2]):
        with pytest.raises(FormatError) as caught:
            sf.AudioBuffer.read_bytes(bad)
        assert isinstance(caught.value, ValueError)


def test_unknown_words_and_extensions(tmp_path, music):
    for bad in ({"sample_format": "int17"}, {"dither": "loud"}, {"container": "mp3"}):
        with pytest.raises(InvalidArgumentError, match="expected"):
            music.write(tmp_path / "a.wav", **bad)
    with pytest.raises((InvalidArgumentError, SonicForgeError)):
        music.write(tmp_path / "a.xyz")
    with pytest.raises((InvalidArgumentError, SonicForgeError)):
        music.write(tmp_path / "a.flac", sample_format="float32")
    assert list(tmp_path.iterdir()) == []
    assert issubclass(AudioIOError, OSError)
