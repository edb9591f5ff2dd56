"""`python -m sonicforge`."""

import json
import subprocess
import sys

import pytest

import sonicforge as sf
from sonicforge.__main__ import main


@pytest.fixture
def song(tmp_path, music):
    music.write(tmp_path / "song.flac")
    return tmp_path / "song.flac"


def test_master(song, capsys):
    out, page = song.with_name("out.wav"), song.with_name("report.json")
    assert main(["master", str(song), str(out), "--target", "-16", "--report", str(page)]) == 0
    printed = capsys.readouterr()
    assert "-16.0 LUFS" in printed.out
    assert "100%" in printed.err.replace(" ", "")
    report = sf.Report.from_json(page.read_text())
    assert report.after == sf.analyze(sf.AudioBuffer.read(out))
    assert main(["master", str(song), str(out), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")


def test_analyze(song, capsys):
    assert main(["analyze", str(song)]) == 0
    assert "integrated_lufs" in capsys.readouterr().out
    assert main(["analyze", str(song), "--json"]) == 0
    assert sf.Analysis.from_dict(json.loads(capsys.readouterr().out)) == sf.analyze(sf.AudioBuffer.read(song))


def test_what_goes_wrong(song, capsys):
    assert main(["master", str(song) + "x", "out.wav"]) == 1
    assert "SF_IO" in capsys.readouterr().err
    assert main(["master", str(song), str(song.with_name("o.wav")), "--target", "spotfy"]) == 1
    assert "spotify" in capsys.readouterr().err
    for wrong in ([], ["master"], ["dance"]):
        with pytest.raises(SystemExit) as caught:
            main(wrong)
        assert caught.value.code == 2
    capsys.readouterr()


def test_as_a_module():
    run = subprocess.run([sys.executable, "-m", "sonicforge", "versions"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith(f"sonicforge {sf.__version__}\n")
