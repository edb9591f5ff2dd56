"""Every Python block of the guide and the README runs, in a folder with a song in it."""

import re
from pathlib import Path

import pytest

import sonicforge as sf

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page):
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        # Empty lines before it, so that a traceback names the line of the page.
        yield "\n" * text.count("\n", 0, match.start(1)) + match[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    sf.testing.signal("music", seed=1, seconds=4.0).write(tmp_path / "song.flac")
    sf.testing.signal("music", seed=2, seconds=4.0).apply_gain(3.0).write(tmp_path / "reference.flac")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_blocks_of_a_page_run_one_after_the_other(page, folder):
    names = {}
    for code in blocks(page):
        exec(compile(code, page, "exec"), names)


def test_there_are_blocks():
    assert sum(len(list(blocks(page))) for page in PAGES) >= 12
