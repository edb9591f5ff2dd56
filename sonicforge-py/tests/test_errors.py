"""Exceptions: a stable code, the builtin that hosts already catch, and they pickle."""

import errno
import pickle

import pytest

from sonicforge import _sonicforge, exceptions

CASES = [
    (exceptions.InvalidArgumentError, ValueError, "SF_INVALID_ARGUMENT"),
    (exceptions.AudioIOError, OSError, "SF_IO"),
    (exceptions.AudioFileNotFoundError, FileNotFoundError, "SF_IO"),
    (exceptions.AudioPermissionError, PermissionError, "SF_IO"),
    (exceptions.FormatError, ValueError, "SF_FORMAT"),
    (exceptions.ModelError, RuntimeError, "SF_MODEL"),
    (exceptions.UnsupportedError, NotImplementedError, "SF_UNSUPPORTED"),
    (exceptions.StoreError, RuntimeError, "SF_STORE"),
    (exceptions.CancelledError, Exception, "SF_CANCELLED"),
    (exceptions.InternalError, RuntimeError, "SF_INTERNAL"),
]


@pytest.mark.parametrize(("cls", "builtin", "code"), CASES)
def test_every_exception_has_a_code_and_a_builtin_base_and_pickles(cls, builtin, code):
    error = cls("a message")
    assert isinstance(error, exceptions.SonicForgeError)
    assert isinstance(error, builtin)
    assert error.code == code
    assert str(error) == "a message"
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is cls
    assert (str(again), again.code) == ("a message", code)


def test_every_exception_is_tested():
    listed = {getattr(exceptions, name) for name in exceptions.__all__} - {exceptions.SonicForgeError}
    assert listed == {cls for cls, _, _ in CASES}


def test_io_errors_carry_errno_and_file_name():
    error = exceptions._from_core("SF_IO", "cannot read x.wav: gone", errno.ENOENT, "x.wav")
    assert type(error) is exceptions.AudioFileNotFoundError
    assert (error.errno, error.filename) == (errno.ENOENT, "x.wav")
    assert str(error) == "cannot read x.wav: gone"
    again = pickle.loads(pickle.dumps(error))
    assert (again.errno, again.filename, str(again)) == (error.errno, error.filename, str(error))
    assert type(exceptions._from_core("SF_IO", "m", errno.EACCES, None)) is exceptions.AudioPermissionError
    assert type(exceptions._from_core("SF_IO", "m", errno.ENOSPC, None)) is exceptions.AudioIOError
    assert type(exceptions._from_core("SF_IO", "m", None, None)) is exceptions.AudioIOError
    assert type(exceptions._from_core("SF_NEW", "m", None, None)) is exceptions.InternalError


@pytest.mark.parametrize("long", [False, True])
def test_a_panic_is_an_exception_and_kills_nothing(long, capfd):
    with pytest.raises(exceptions.InternalError, match="panic: made for the test"):
        _sonicforge.panic("made for the test", long)
    with pytest.raises(RuntimeError):
        _sonicforge.panic("again", long)
    capfd.readouterr()
