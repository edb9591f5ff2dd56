"""Fingerprints from Python: whole, streamed, as text, and what AcoustID is asked."""

import json
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


def test_an_index_knows_excerpts_again(melody):
    index = sf.Index()
    for seed in range(8):
        index.insert(f"piece {seed}", sf.fingerprint(melody(seed)))
    assert len(index) == 8
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="piece 3"):
        index.insert("piece 3", sf.fingerprint(melody(3)))
    (match,) = index.query(melody(3).trim(start_s=8.0, end_s=18.0))
    assert match.id == "piece 3"
    assert abs(match.track_start_s - match.query_start_s - 8.0) < 0.1
    (match,) = index.query(melody(5, speed=1.04).trim(start_s=8.0, end_s=18.0))
    assert (match.id, round(match.pitch_factor, 2), round(match.tempo_factor, 2)) == ("piece 5", 1.04, 1.04)
    assert index.query(melody(99).trim(start_s=8.0, end_s=18.0)) == []
    assert index.remove("piece 3")
    assert not index.remove("piece 3")
    assert index.query(melody(3).trim(start_s=8.0, end_s=18.0)) == []
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="max_tempo_percent"):
        index.query(melody(1), max_tempo_percent=50.0)


def test_an_index_in_a_folder_survives_and_is_shared(tmp_path, melody):
    prints = {f"piece {seed}": sf.fingerprint(melody(seed, seconds=20.0)) for seed in range(4)}
    excerpt = melody(2, seconds=20.0).trim(start_s=5.0, end_s=15.0)
    with sf.Index.open(tmp_path / "index", lock_timeout_s=0.1) as index:
        index.insert("first", sf.fingerprint(melody(9, seconds=20.0)), note="of mine")
        index.apply(inserts=prints, removes=["first"])
        with pytest.raises(sf.exceptions.InvalidArgumentError, match="nobody"):
            index.apply(inserts={"more": prints["piece 1"]}, removes=["nobody"])
        assert len(index) == 4
        assert "piece 1" in index
        assert "more" not in index
        with pytest.raises(sf.exceptions.StoreError, match="another process writes"):
            sf.Index.open(tmp_path / "index", lock_timeout_s=0.1)
        with sf.Index.open(tmp_path / "index", read_only=True) as reader:
            assert reader.query(excerpt)[0].id == "piece 2"
            index.remove("piece 2")
            assert reader.query(excerpt)[0].id == "piece 2"
            assert reader.refresh()
            assert not reader.refresh()
            assert reader.query(excerpt) == []
            with pytest.raises(sf.exceptions.StoreError, match="read_only"):
                reader.remove("piece 1")
        index.flush()
        index.check()
        index.export_file(tmp_path / "all.segment")
    with pytest.raises(sf.exceptions.InvalidArgumentError, match="closed"):
        len(index)
    with sf.Index.open(tmp_path / "index") as index:
        assert sorted(index.ids()) == ["piece 0", "piece 1", "piece 3"]
        stats = index.stats()
        assert (stats.tracks, stats.recovery.dropped_bytes) == (3, 0)
        assert stats.bytes > 1_000
    other = sf.Index()
    other.import_file(tmp_path / "all.segment")
    track = other.get("piece 3")
    assert (track.chromaprint, track.landmarks, track.note) == (
        prints["piece 3"].chromaprint,
        prints["piece 3"].landmarks,
        "",
    )
    assert other.get("piece 2") is None
    asked = [melody(seed, seconds=20.0).trim(start_s=5.0, end_s=15.0) for seed in (3, 1)]
    assert [found[0].id for found in other.query_batch(asked)] == ["piece 3", "piece 1"]
    match = other.query(asked[0])[0]
    assert sf.merge_topk([[match], other.query(asked[1]), [match]], 1)[0].id in {"piece 3", "piece 1"}
    assert "<image" in other.match_svg(asked[0], match)


def test_a_folder_its_duplicates_and_files(tmp_path, melody):
    music = tmp_path / "music"
    music.mkdir()
    piece = melody(4, seconds=45.0)
    piece.write(music / "a.flac")
    piece.trim(start_s=9.0).write(music / "cut.flac")
    melody(4, seconds=45.0, speed=1.03).write(music / "fast.wav")
    melody(5, seconds=45.0).write(music / "b.wav")
    (music / "bad.ogg").write_bytes(b"no")
    index = sf.Index()
    steps = []
    report = index.scan(music, progress=lambda stage, share: steps.append((stage, share)))
    assert (report.added, len(report.failed)) == (("a.flac", "b.wav", "cut.flac", "fast.wav"), 1)
    assert steps[-1][0] == "fingerprint"
    assert index.scan(music).unchanged == 4
    found = index.duplicates()
    assert [group.ids for group in found.groups] == [("a.flac", "cut.flac", "fast.wav")]
    relations = {(pair.first, pair.second): pair.relation for pair in found.groups[0].pairs}
    assert relations["a.flac", "cut.flac"] == "trimmed"
    assert relations["a.flac", "fast.wav"] == "sped"
    assert "trimmed" in found.to_table()
    assert json.loads(found.to_json())["groups"][0]["ids"][0] == "a.flac"
    token = sf.CancelToken()
    token.cancel()
    with pytest.raises(sf.exceptions.CancelledError):
        index.duplicates(cancel=token)
    print_ = sf.fingerprint_file(music / "a.flac", pcm_hash=True)
    assert len(print_.pcm) == 32
    assert print_.landmarks == index.get("a.flac").landmarks
    assert sf.Fingerprint.from_json(print_.to_json()) == print_
