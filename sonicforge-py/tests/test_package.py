"""The package as a whole: versions, names, types, import."""

import importlib.metadata
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import sonicforge as sf

ROOT = Path(__file__).parents[2]


def test_one_version():
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]["version"]
    assert sf.__version__ == cargo
    assert importlib.metadata.version("sonicforge") == cargo
    node = json.loads((ROOT / "sonicforge-node" / "package.json").read_text(encoding="utf-8"))
    assert node["version"] == cargo


def resolve(name):
    thing = sf
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def test_every_public_name_is_there_and_listed():
    api = json.loads((ROOT / "sonicforge-core" / "tests" / "golden" / "api.json").read_text(encoding="utf-8"))
    names = {entry["python"] for entry in api if entry["python"] is not None}
    for name in names:
        resolve(name)
    listed = {name.split(".")[0] for name in names}
    assert set(sf.__all__) - listed == set(), "names that api.json does not know"
    assert sf.__all__ == sorted(sf.__all__)


def test_everything_public_is_documented():
    for name in sf.__all__:
        thing = getattr(sf, name)
        assert thing.__doc__, name
        if isinstance(thing, type):
            for member, value in vars(thing).items():
                if not member.startswith("_") and callable(value):
                    assert value.__doc__, f"{name}.{member}"


def test_it_is_typed():
    folder = Path(sf.__file__).parent
    assert (folder / "py.typed").exists()
    assert (folder / "_sonicforge.pyi").exists()


def test_import_starts_no_thread_and_brings_only_numpy():
    code = (
        "import sys, threading, os; before = set(sys.modules); import numpy; numpy_too = set(sys.modules); "
        "import sonicforge; tasks = len(os.listdir('/proc/self/task')) if os.path.exists('/proc/self/task') else 1; "
        "foreign = {m.split('.')[0] for m in set(sys.modules) - numpy_too} - set(sys.stdlib_module_names); "
        "print(threading.active_count(), foreign)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    threads, _, foreign = run.stdout.strip().partition(" ")
    assert threads == "1"
    assert eval(foreign) <= {"sonicforge", "numpy"}
