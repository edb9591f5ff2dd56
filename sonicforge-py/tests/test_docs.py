"""What the guide and the examples say runs."""

import re
import runpy
import sys
from pathlib import Path

import pytest

import sonicforge as sf

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch, music):
    """A folder with the files that the guide speaks of, and two (tiny) models."""
    monkeypatch.chdir(tmp_path)
    music.write("song.flac")
    music.write("song.wav")
    music.apply_gain(-3.0).write("reference.flac")
    for name, fixture in [("musicgen-small", "mono"), ("musicgen-melody", "melody")]:
        (tmp_path / name).symlink_to(ROOT / "sonicforge-core" / "tests" / "fixtures" / "generate" / fixture)
    return tmp_path


@pytest.mark.parametrize("page", [p for p in PAGES if p.exists()], ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_python_of_a_page_runs(page, folder, capsys):
    scope = {}
    for block in BLOCK.findall(page.read_text(encoding="utf-8")):
        exec(compile(block, str(page), "exec"), scope)


@pytest.mark.parametrize("given", [[], ["song.flac"]])
def test_example_analyze(folder, capsys, monkeypatch, given):
    monkeypatch.setattr(sys, "argv", ["analyze.py", *given])
    runpy.run_path(str(ROOT / "examples" / "python" / "analyze.py"), run_name="__main__")
    assert "integrated" in capsys.readouterr().out


@pytest.mark.parametrize("given", [[], ["song.flac", "out/song.wav", "-16"]])
def test_example_master(folder, capsys, monkeypatch, given):
    monkeypatch.setattr(sys, "argv", ["master.py", *given])
    runpy.run_path(str(ROOT / "examples" / "python" / "master.py"), run_name="__main__")
    out = Path(given[1] if given else "mastered.wav")
    report = sf.Report.from_json(out.with_suffix(".json").read_text(encoding="utf-8"))
    assert report.loudness_reached
    assert "<svg" in out.with_suffix(".html").read_text(encoding="utf-8")
    assert "dBTP" in capsys.readouterr().out


def test_example_song(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["song.py", "fast techno", "out/song.wav", "2", "3", "-16"])
    runpy.run_path(str(ROOT / "examples" / "python" / "song.py"), run_name="__main__")
    assert sf.AudioBuffer.read("out/song.wav").seconds == sf.AudioBuffer.read("out/song-raw.flac").seconds == 2.0
    assert sf.Report.from_json(Path("out/song.json").read_text(encoding="utf-8")).loudness_reached
    assert "dBTP" in capsys.readouterr().out


def test_example_optimize(folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["optimize.py", "120", "optimize.svg", "taste.db"])
    runpy.run_path(str(ROOT / "examples" / "python" / "optimize.py"), run_name="__main__")
    assert "P(best)" in capsys.readouterr().out
    assert Path("optimize.svg").read_text(encoding="utf-8").startswith("<svg")


def test_examples_identify_and_dedupe(folder, capsys, monkeypatch, melody):
    Path("music").mkdir()
    piece = melody(1, seconds=40.0)
    piece.write("music/one.flac")
    piece.trim(start_s=6).write("music/cut.flac")
    piece.trim(start_s=12, end_s=22).write("excerpt.wav")
    for name, given in {"identify": ["excerpt.wav", "index", "why.svg"], "dedupe": ["index", "report.json"]}.items():
        monkeypatch.setattr(sys, "argv", [f"{name}.py", "music", *given])
        runpy.run_path(str(ROOT / "examples" / "python" / f"{name}.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "2 tracks; 2 new" in said
    assert "score" in said
    assert "trimmed" in said
    assert Path("why.svg").read_text(encoding="utf-8").startswith("<svg")
    assert '"trimmed"' in Path("report.json").read_text(encoding="utf-8")
