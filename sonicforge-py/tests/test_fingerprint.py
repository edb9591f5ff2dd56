"""Fingerprints from Python: whole, streamed, as text, and what AcoustID is asked."""

import pickle

import numpy as np
import pytest

import sonicforge as sf


@pytest.fixture(scope="module")
def audio():
    return sf.testing.signal("music", seed=3, sample_rate=44_100, channels=2, seconds=10.0)


def test_streaming_equals_offline(audio):
    whole = sf.fingerprint(audio)
    for size in (1_000, 44_100, 300_000):
        streamed = sf.Fingerprinter(sample_rate=44_100, channels=2)
        for start in range(0, audio.frames, size):
            streamed.push(audio.samples[:, start : start + size])
        assert streamed.finish() == whole
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="finished"):
        streamed.push(audio.samples)


def test_words(audio):
    print_ = sf.fingerprint(audio).chromaprint
    assert print_.words.dtype == np.uint32
    assert len(print_) == 59
    assert not print_.words.flags.writeable
    assert sf.Chromaprint.decode(print_.encode()) == print_
    assert sf.Chromaprint(print_.words) == print_
    assert sf.Chromaprint(print_.words.tolist()) == print_
    assert len(print_.first(5.0)) == 19
    assert pickle.loads(pickle.dumps(print_)) == print_
    assert len(sf.Chromaprint([])) == 0
    for wrong in ([1.5], [[1]], [-1], [1 << 32]):
        with pytest.raises(sf.exceptions.InvalidArgumentError):
            sf.Chromaprint(wrong)
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="test6"):
        sf.Chromaprint([1], preset="test6")
    with pytest.raises(sf.exceptions.FormatError):
        sf.Chromaprint.decode("no!")


def test_json(audio):
    print_ = sf.fingerprint(audio, preset="test5", silence_threshold=10)
    assert sf.Fingerprint.from_json(print_.to_json()) == print_
    assert print_.to_dict()["chromaprint"] == print_.chromaprint.encode()
    with pytest.raises(sf.exceptions.FormatError, match="schema 9"):
        sf.Fingerprint.from_json(print_.to_json().replace('"schema":1', '"schema":9'))


def test_progress_and_bad_arguments(audio):
    news = []
    sf.fingerprint(audio, progress=lambda stage, fraction: news.append((stage, fraction)))
    assert news[-1] == ("fingerprint", 1.0)
    cancel = sf.CancelToken()
    cancel.cancel()
    with pytest.raises(sf.exceptions.CancelledError):
        sf.fingerprint(audio, cancel=cancel)
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="silence_threshold is 40000"):
        sf.fingerprint(audio, silence_threshold=40_000)
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="test0"):
        sf.fingerprint(audio, preset="test0")


def test_acoustid_refuses_what_the_service_would(audio):
    print_ = sf.fingerprint(audio)
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="meta has"):
        sf.acoustid_lookup(print_, client="key", meta=["everything"])
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="test1"):
        sf.acoustid_lookup(sf.fingerprint(audio, preset="test1"), client="key")
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="colour"):
        sf.acoustid_submit([(print_, {"colour": "red"})], client="key", user="me")
