import pytest

import sonicforge as sf


@pytest.fixture(scope="session")
def music():
    """Five seconds in which every processor has something to do."""
    return sf.testing.signal("music", seed=1, seconds=5.0)
