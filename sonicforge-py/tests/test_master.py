"""Mastering to a target: plan, render, report, in memory and from file to file."""

import dataclasses
import json
import pickle
import threading
from xml.etree import ElementTree

import numpy as np
import pytest

import sonicforge as sf
from sonicforge import _sonicforge
from sonicforge.exceptions import CancelledError, FormatError, InvalidArgumentError


@pytest.fixture(scope="module")
def mastered(music):
    return sf.master(music, target="spotify")


def test_the_promise_is_kept(music, mastered):
    audio, report = mastered
    assert audio.samples.shape == music.samples.shape
    after = sf.analyze(audio)
    assert after == report.after
    assert sf.analyze(music) == report.before
    assert after.integrated_lufs == pytest.approx(-14.0, abs=0.1)
    assert after.true_peak_dbtp <= -1.0
    assert report.loudness_reached and report.ceiling_met and report.refusal is None


def test_a_result_is_handed_over_without_a_copy(mastered):
    assert not mastered.audio.samples.flags.owndata
    assert mastered.audio.samples.flags.writeable


def test_fields_are_those_of_the_core(music, mastered):
    target = json.dumps(sf.Target.named("spotify").to_dict())
    _, text = _sonicforge.render(music.samples, music.sample_rate, None, target, None, None)
    assert mastered.report.to_dict() == json.loads(text)


def test_a_budget_is_kept_and_said(music):
    plan = sf.plan(music, target=-8)
    plan.max_gain_reduction_db = 1.0
    report = plan.render(music).report
    assert not report.loudness_reached
    assert report.ceiling_met
    assert "max_gain_reduction_db" in report.refusal
    assert "NOT REACHED" in report.summary()
    assert report.needed_gain_reduction_db > 1.0


def test_plan_and_render_equal_master(music, mastered):
    plan = sf.plan(music, target="spotify")
    assert plan == mastered.report.plan
    assert plan == sf.plan(sf.analyze(music))
    again = plan.render(music)
    assert again.audio == mastered.audio
    assert again.report == mastered.report


def test_a_plan_can_be_edited(music):
    plan = sf.plan(music, target=-16)
    plan.chain.modules.append(sf.Equalizer(bands=[sf.EqualizerBand(kind="high_shelf", frequency_hz=8000, gain_db=6)]))
    plan.limiter.lookahead_ms = 5.0
    report = plan.render(music).report
    assert report.plan == plan
    brighter = [band.level_db for band in report.after.third_octave if band.center_hz == 12_500]
    usual = [
        band.level_db for band in sf.master(music, target=-16).report.after.third_octave if band.center_hz == 12_500
    ]
    assert brighter[0] > usual[0] + 2
    plan.limiter.ceiling_dbtp = -2.0
    with pytest.raises(InvalidArgumentError, match="make them equal"):
        plan.render(music)


def test_plans_and_reports_are_documents(mastered):
    plan, report = mastered.report.plan, mastered.report
    assert sf.Plan.from_json(plan.to_json()) == plan
    assert sf.Report.from_json(report.to_json()) == report
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert pickle.loads(pickle.dumps(mastered)) == mastered
    assert eval(repr(plan), vars(sf)) == plan
    for document in (sf.Plan, sf.Report):
        with pytest.raises(FormatError):
            document.from_json("{}")
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.passes = 0


def test_summary_and_gain_matched(music, mastered):
    text = mastered.report.summary()
    assert "spotify" in text and "LUFS" in text
    matched = sf.gain_matched(music, mastered.report)
    assert sf.analyze(matched).integrated_lufs == pytest.approx(mastered.report.after.integrated_lufs, abs=0.01)


def test_targets():
    assert {target.name for target in sf.Target.all()} >= {
        "spotify",
        "apple",
        "youtube",
        "club",
        "podcast",
        "broadcast",
    }
    assert sf.Target.named("Apple").loudness_lufs == -16.0
    assert sf.Target.custom(loudness_lufs=-11.5) == sf.Target.named("-11.5")
    for bad in ("spotfy", "3", 3, -100, float("nan"), True, []):
        with pytest.raises(InvalidArgumentError):
            sf.plan(sf.testing.signal("silence"), target=bad)
    with pytest.raises(ValueError, match="ceiling_dbtp"):
        sf.Target.custom(loudness_lufs=-14, ceiling_dbtp=3)


def test_after_a_reference(tmp_path, music):
    dull = sf.MasteringChain([sf.Equalizer(bands=[sf.EqualizerBand(kind="low_pass", frequency_hz=3000)])]).render(music)
    reference = dull.apply_gain(-6.0)
    reference.write(tmp_path / "reference.wav", sample_format="float32")
    audio, report = sf.master(music, reference=reference)
    assert report.after.integrated_lufs == pytest.approx(sf.analyze(reference).integrated_lufs, abs=0.1)
    assert report.after.centroid_hz < 0.8 * report.before.centroid_hz
    assert sf.plan(music, reference=sf.analyze(reference)) == report.plan
    assert sf.plan(sf.analyze(music), reference=tmp_path / "reference.wav") == report.plan
    music.write(tmp_path / "in.wav", sample_format="float32")
    out = tmp_path / "out.wav"
    again = sf.master_file(tmp_path / "in.wav", out, reference=tmp_path / "reference.wav", sample_format="float32")
    assert again.plan == report.plan
    assert sf.AudioBuffer.read(out) == audio
    kept = sf.plan(music, reference=reference, match=sf.MatchParts(loudness=False))
    assert kept.target.loudness_lufs == pytest.approx(report.before.integrated_lufs)
    with pytest.raises(InvalidArgumentError, match="exclude"):
        sf.master(music, target="spotify", reference=reference)
    with pytest.raises(InvalidArgumentError, match="no reference"):
        sf.master(music, match=sf.MatchParts())
    with pytest.raises(InvalidArgumentError, match="silent"):
        sf.master(music, reference=sf.testing.signal("silence"))


@pytest.mark.parametrize("seconds", [0.0, 1 / 48_000, 2.0])
def test_what_has_no_loudness_says_so(seconds):
    report = sf.master(sf.testing.signal("silence", seconds=seconds)).report
    assert not report.loudness_reached
    assert "silent" in report.refusal


def test_bad_samples_come_out_finite_and_are_counted(music):
    samples = music.samples.copy()
    samples[0, 1000:1010] = np.nan
    samples[1, 99] = -np.inf
    audio, report = sf.master(sf.AudioBuffer(samples, 48_000))
    assert np.isfinite(audio.samples).all()
    assert report.non_finite_samples == 11


def test_eight_channels_are_refused_clearly():
    with pytest.raises(NotImplementedError, match="mono or stereo"):
        sf.master(sf.AudioBuffer(np.zeros((8, 48_000), np.float32), 48_000))


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_from_file_to_file(tmp_path, music, name):
    music.write(tmp_path / "in.wav", sample_format="float32")
    news = []
    report = sf.master_file(
        tmp_path / "in.wav",
        str(tmp_path / name),
        target=-16,
        sample_format="int16",
        progress=lambda stage, fraction: news.append((stage, fraction)),
    )
    written = sf.AudioBuffer.read(tmp_path / name)
    assert sf.analyze(written) == report.after
    assert report.after.integrated_lufs == pytest.approx(-16.0, abs=0.1)
    assert report.after.true_peak_dbtp <= -1.0
    assert news[-1][1] == 1.0
    assert [fraction for _, fraction in news] == sorted(fraction for _, fraction in news)
    plan = sf.plan(music, target=-16)
    again = plan.render_file(tmp_path / "in.wav", tmp_path / ("again-" + name), sample_format="int16")
    assert again.after == report.after
    assert (tmp_path / ("again-" + name)).read_bytes() == (tmp_path / name).read_bytes()


def test_nothing_is_left_of_a_render_that_was_stopped(tmp_path, music):
    long = sf.AudioBuffer(np.tile(music.samples, 24), 48_000)
    long.write(tmp_path / "in.wav")
    token = sf.CancelToken()
    timer = threading.Timer(0.3, token.cancel)
    timer.start()
    with pytest.raises(CancelledError):
        sf.master_file(tmp_path / "in.wav", tmp_path / "out.wav", cancel=token)
    assert [path.name for path in tmp_path.iterdir()] == ["in.wav"]


def test_files_that_cannot_be(tmp_path, music):
    music.write(tmp_path / "in.wav")
    with pytest.raises(FileNotFoundError):
        sf.master_file(tmp_path / "none.wav", tmp_path / "out.wav")
    with pytest.raises(OSError, match="cannot write"):
        sf.master_file(tmp_path / "in.wav", tmp_path / "none" / "out.wav")
    with pytest.raises(ValueError):
        sf.master_file(tmp_path / "in.wav", tmp_path / "out.mp3")


def test_pictures(mastered):
    report = mastered.report
    for svg in (report.svg(), report.before.svg()):
        assert svg.startswith("<svg")
        assert "http://www.w3.org/2000/svg" in svg
        ElementTree.fromstring(svg)
    page = report.html()
    assert page.lower().startswith("<!doctype html>")
    assert "<svg" in page
    assert "<script src" not in page and "<link" not in page
