"""The golden vectors that all three languages run: `tests/golden/<verb>/<case>.json` of the core.

A case is `{operation, input: {signal, sample_rate, channels, seconds}, parameters, expected, tolerance, origin}`. Numbers
are compared within the tolerance of the outermost field that they are in, everything else exactly.
"""

import json
from pathlib import Path

import pytest

import sonicforge as sf

GOLDEN = Path(__file__).parents[2] / "sonicforge-core" / "tests" / "golden"
CASES = sorted(path for path in GOLDEN.glob("*/*.json") if path.parent.name != "tools")


def source(case):
    given = case["input"]
    return sf.testing.signal(
        **given["signal"],
        sample_rate=int(given["sample_rate"]),
        channels=int(given["channels"]),
        seconds=given["seconds"],
    )


def analyze(case):
    return sf.analyze(source(case)).to_dict()


OPERATIONS = {"analyze": analyze}


def differences(actual, expected, tolerance, at):
    number = (int, float)
    if isinstance(expected, bool) or expected is None or isinstance(expected, str):
        same = actual == expected and type(actual) is type(expected)
        return [] if same else [f"{at} is {actual!r}, expected {expected!r}"]
    if isinstance(expected, number) and isinstance(actual, number) and not isinstance(actual, bool):
        near = abs(actual - expected) <= tolerance + 1e-12 * abs(expected)
        return [] if near else [f"{at} is {actual}, expected {expected} ± {tolerance}"]
    if isinstance(expected, dict) and isinstance(actual, dict):
        pairs = [(actual.get(key), value, f"{at}.{key}") for key, value in expected.items()]
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = [(a, e, f"{at}[{i}]") for i, (a, e) in enumerate(zip(actual, expected, strict=True))]
    else:
        return [f"{at} is {actual!r}, expected {expected!r}"]
    return [line for a, e, place in pairs for line in differences(a, e, tolerance, place)]


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_case(path):
    case = json.loads(path.read_text(encoding="utf-8"))
    operation = OPERATIONS.get(case["operation"])
    assert operation is not None, f"unknown golden operation {case['operation']!r}"
    actual = operation(case)
    found = []
    for name, expected in case["expected"].items():
        found += differences(actual.get(name), expected, case.get("tolerance", {}).get(name, 0.0), name)
    assert not found, "\n".join(found)


def test_no_case_is_missing():
    assert len(CASES) >= int((GOLDEN / "COUNT").read_text())


def test_the_comparison_sees_what_is_wrong():
    expected = {"a": 1.0, "b": [1, None], "c": [{"x": 2}]}
    assert differences({"a": 1.05, "b": [1.0, None], "c": [{"x": 2, "y": 3}]}, expected, 0.1, "r") == []
    for bad in ({"a": 1.2}, {"b": [1, 0]}, {"b": [1]}, {"c": [{"x": 3}]}, {"a": None}, {"a": True}, {"c": [{}]}):
        good = {"a": 1.0, "b": [1, None], "c": [{"x": 2}]}
        assert len(differences({**good, **bad}, expected, 0.1, "r")) == 1, bad
