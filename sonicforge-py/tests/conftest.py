import numpy as np
import pytest

import sonicforge as sf


@pytest.fixture(scope="session")
def music():
    """Five seconds in which every processor has something to do."""
    return sf.testing.signal("music", seed=1, seconds=5.0)


def _melody(seed, seconds=30.0, speed=1.0):
    """Notes at random times and heights; every seed is another piece."""
    rng, rate = np.random.default_rng(seed), 22_050
    out = np.zeros(int(seconds / speed * rate) + rate, np.float32)
    at = 0.0
    while at < seconds:
        hz = 180.0 * 2 ** (rng.integers(0, 44) / 12)
        start = int(at / speed * rate)
        t = np.arange(rate) / rate * speed
        out[start : start + rate] += (np.exp(-4 * t) * 0.2 * np.sin(2 * np.pi * hz * t)).astype(np.float32)
        at += rng.uniform(0.06, 0.3)
    return sf.AudioBuffer(out[: int(seconds / speed * rate)], rate)


@pytest.fixture(scope="session")
def melody():
    """Makes melodies that landmarks tell apart: of a seed, of so many seconds, at a speed."""
    return _melody
