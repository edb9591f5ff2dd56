"""Stages, presets and the chain: parameters, streams, and what Python expects of objects."""

import copy
import inspect
import json
import pickle

import numpy as np
import pytest

import sonicforge as sf
from sonicforge import _sonicforge
from sonicforge.exceptions import FormatError, InvalidArgumentError, SonicForgeError

STAGES = [sf.Gain, sf.Equalizer, sf.DeEsser, sf.Multiband, sf.Exciter, sf.Widener, sf.Glue, sf.Limiter]


def busy():
    return sf.MasteringChain(
        [
            sf.Equalizer(bands=[sf.EqualizerBand(kind="low_shelf", frequency_hz=120, gain_db=2)]),
            sf.DeEsser(),
            sf.Multiband(bands=[sf.MultibandBand(ratio=2.0)] * 4),
            sf.Exciter(even_db=-30),
            sf.Widener(width=1.2, mono_below_hz=110),
            sf.Glue(ratio=1.5),
            sf.Gain(gain_db=4),
            sf.Limiter(ceiling_dbtp=-1.0),
        ],
        name="busy",
    )


@pytest.mark.parametrize("stage", STAGES)
def test_defaults_and_names_are_those_of_the_core(stage):
    core = json.loads(_sonicforge.normalize("module", json.dumps({"type": stage.type})))
    assert stage().to_dict() == core
    signature = inspect.signature(stage)
    assert {*signature.parameters} == {*core} - {"type"}
    for parameter in signature.parameters.values():
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
        assert isinstance(inspect.getattr_static(stage, parameter.name).__doc__, str)


@pytest.mark.parametrize("make", [*STAGES, busy, lambda: sf.MasteringChain("loud")])
def test_repr_equality_copy_and_pickle(make):
    one = make()
    assert eval(repr(one), vars(sf)) == one
    for other in (copy.copy(one), copy.deepcopy(one), one.copy(), pickle.loads(pickle.dumps(one))):
        assert type(other) is type(one)
        assert other == one and other is not one
    assert one != sf.Gain(gain_db=7.5)
    assert one != "one"


def test_parameters_are_attributes_that_the_core_checks():
    limiter = sf.Limiter(ceiling_dbtp=-2)
    assert (limiter.ceiling_dbtp, limiter.lookahead_ms) == (-2.0, sf.Limiter().lookahead_ms)
    limiter.ceiling_dbtp = -3
    assert limiter == sf.Limiter(ceiling_dbtp=-3)
    for bad in (3.0, float("nan"), "loud", None):
        with pytest.raises(InvalidArgumentError):
            limiter.ceiling_dbtp = bad
    assert limiter.ceiling_dbtp == -3.0
    with pytest.raises(ValueError, match="ceiling_dbtp is 3; expected"):
        sf.Limiter(ceiling_dbtp=3)
    with pytest.raises(TypeError):
        sf.Limiter(-3)
    with pytest.raises(TypeError):
        sf.Limiter(ceiling=-3)
    multiband = sf.Multiband()
    multiband.update(crossovers_hz=[200.0], bands=[sf.MultibandBand(ratio=3), sf.MultibandBand()])
    assert (multiband.crossovers_hz, multiband.bands[0].ratio) == ((200.0,), 3.0)


@pytest.mark.parametrize("blocks", [(1, 64, 65), (8192,), (100_000,), (4_800,)])
def test_a_stream_equals_the_render(music, blocks):
    chain = busy()
    rendered = chain.render(music)
    assert rendered.samples.shape == music.samples.shape
    chain.prepare(sample_rate=48_000, channels=2, max_frames=4_096)
    out, start, turn = [], 0, 0
    frames = 30_000 if 1 in blocks else music.frames
    while start < frames:
        end = min(start + blocks[turn % len(blocks)], frames)
        out.append(chain.process(music.samples[:, start:end]))
        start, turn = end, turn + 1
    if frames == music.frames:
        out.append(chain.flush())
    streamed = np.concatenate(out, axis=1)[:, chain.latency :]
    np.testing.assert_array_equal(streamed, rendered.samples[:, : streamed.shape[1]])


def test_in_place_copies_nothing_and_otherwise_the_block_stays(music):
    gain = sf.Gain(gain_db=-6).prepare(sample_rate=48_000, channels=2)
    block = music.samples[:, :1000].copy()
    before, address = block.copy(), block.ctypes.data
    result = gain.process(block)
    np.testing.assert_array_equal(block, before)
    assert not np.shares_memory(result, block)
    gain.reset()
    assert gain.process(block, out=block) is block
    assert block.ctypes.data == address
    np.testing.assert_array_equal(block, result)
    gain.reset()
    out = np.empty_like(block)
    gain.process(before, out=out)
    np.testing.assert_array_equal(out, result)


def test_mono_and_transposed_blocks(music):
    gain = sf.Gain().prepare(sample_rate=48_000, channels=1)
    line = music.samples[0, :500].copy()
    assert gain.process(line).shape == (1, 500)
    assert gain.process(line, out=line) is line
    gain.prepare(sample_rate=48_000, channels=2)
    with pytest.raises(ValueError, match=r"pass x\.T"):
        gain.process(music.samples[:, :500].T)
    with pytest.raises(ValueError, match="expected \\(2, frames\\)"):
        gain.process(line)
    assert gain.process(np.zeros((2, 0), np.float32)).shape == (2, 0)
    assert gain.process(np.zeros((2, 1), np.float32)).shape == (2, 1)


def test_an_out_that_cannot_be_written_in_place(music):
    gain = sf.Gain().prepare(sample_rate=48_000, channels=2)
    block = music.samples[:, :500]
    frozen = np.ascontiguousarray(block)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        gain.process(block, out=frozen)
    for out in (np.zeros((2, 500)), np.zeros((500, 2), np.float32).T, np.zeros((2, 499), np.float32)):
        with pytest.raises(InvalidArgumentError):
            gain.process(block, out=out)


def test_prepare_comes_first():
    chain = busy()
    for call in (lambda: chain.process(np.zeros((2, 1), np.float32)), chain.flush, chain.reset, lambda: chain.latency):
        with pytest.raises(InvalidArgumentError, match="prepare"):
            call()
    with pytest.raises(NotImplementedError, match="mono or stereo"):
        chain.prepare(sample_rate=48_000, channels=6)
    with pytest.raises(InvalidArgumentError, match="sample rate"):
        chain.prepare(sample_rate=1)


def test_a_module_of_a_running_chain_glides():
    chain = sf.MasteringChain([sf.Gain(), sf.MasteringChain([sf.Gain(), sf.Gain()], name="inner")])
    chain.prepare(sample_rate=48_000, channels=1)
    one = np.ones((1, 48_000), np.float32)
    assert chain.process(one)[0, -1] == 1.0
    chain.modules[0].gain_db = 6.0
    moving = chain.process(one)[0]
    assert 1.0 <= moving[0] < 1.1
    assert moving[-1] == pytest.approx(10 ** (6 / 20), abs=1e-5)
    assert np.abs(np.diff(moving)).max() < 0.01
    chain.modules[1].modules[1].gain_db = -6.0
    assert chain.process(one)[0, -1] == pytest.approx(1.0, abs=1e-5)
    assert chain.preset.modules[1].modules[1] == sf.Gain(gain_db=-6.0)


def test_a_chain_keeps_copies():
    gain = sf.Gain()
    chain = sf.MasteringChain([gain, gain])
    gain.gain_db = 3.0
    assert chain.modules == (sf.Gain(), sf.Gain())
    chain.modules[0].gain_db = 1.0
    assert chain.modules[1] == sf.Gain()


def test_presets_in_files(tmp_path):
    assert len(sf.Preset.names()) >= 4
    for name in sf.Preset.names():
        preset = sf.Preset.named(name)
        assert preset.name == name
        assert sf.Preset.from_json(preset.to_json()) == preset
        assert sf.Preset.from_toml(preset.to_toml()) == preset
        assert pickle.loads(pickle.dumps(preset)) == preset
        assert eval(repr(preset), vars(sf)) == preset
        for file in ("p.json", "p.toml"):
            preset.save(tmp_path / file)
            assert sf.Preset.load(tmp_path / file) == preset
    nested = sf.Preset(name="outer", modules=[sf.Preset.named("gentle"), sf.Limiter()])
    assert sf.Preset.from_toml(nested.to_toml()) == nested
    assert isinstance(nested.modules[0], sf.MasteringChain)


def test_presets_that_are_wrong(tmp_path):
    with pytest.raises(ValueError, match="balanced"):
        sf.Preset.named("nope")
    with pytest.raises(FormatError):
        sf.Preset.from_json("{")
    with pytest.raises(FormatError, match="colour"):
        sf.Preset.from_json('{"modules": [{"type": "gain", "colour": 1}]}')
    with pytest.raises(ValueError, match=r"modules\[0\] \(gain\): gain_db"):
        sf.Preset.from_json('{"modules": [{"type": "gain", "gain_db": 999}]}')
    with pytest.raises(NotImplementedError, match="schema 99"):
        sf.Preset.from_json('{"schema": 99}')
    with pytest.raises(FileNotFoundError):
        sf.Preset.load(tmp_path / "none.json")


def test_bad_samples_come_out_finite_and_are_counted():
    chain = busy().prepare(sample_rate=48_000, channels=2)
    x = np.full((2, 1000), np.nan, np.float32)
    x[0, 5] = np.inf
    assert np.isfinite(chain.process(x)).all()
    assert chain.non_finite_samples == 2000


def test_eight_channels_are_refused_clearly():
    audio = sf.AudioBuffer(np.zeros((8, 100), np.float32), 48_000)
    with pytest.raises(SonicForgeError, match="mono or stereo") as caught:
        busy().render(audio)
    assert caught.value.code == "SF_UNSUPPORTED"
