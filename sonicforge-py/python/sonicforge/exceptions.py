"""What can go wrong.

Every exception of the library is a `SonicForgeError` with a stable `code`, and also the builtin that a host may already
catch: `InvalidArgumentError` is a `ValueError`, `AudioIOError` an `OSError`, and so on. All of them pickle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

__all__ = [
    "AudioFileNotFoundError",
    "AudioIOError",
    "AudioPermissionError",
    "CancelledError",
    "FormatError",
    "InternalError",
    "InvalidArgumentError",
    "ModelError",
    "SonicForgeError",
    "StoreError",
    "UnsupportedError",
]


class SonicForgeError(Exception):
    """The base of every exception of this library."""

    code: ClassVar[str] = "SF_INTERNAL"
    """The stable code, the same word in Rust, Python and Node."""


class InvalidArgumentError(SonicForgeError, ValueError):
    """Something passed is out of range or of the wrong shape."""

    code = "SF_INVALID_ARGUMENT"


class AudioIOError(SonicForgeError, OSError):
    """The operating system refused. `errno` and `filename` are set where they are known."""

    code = "SF_IO"

    def __init__(self, message: str, errno: int | None = None, filename: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.errno = errno
        self.filename = filename

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Callable[..., AudioIOError], tuple[str, int | None, str | None]]:
        return type(self), (self.message, self.errno, self.filename)


class AudioFileNotFoundError(AudioIOError, FileNotFoundError):
    """There is no such file or folder."""


class AudioPermissionError(AudioIOError, PermissionError):
    """Reading or writing there is not allowed."""


class FormatError(SonicForgeError, ValueError):
    """The bytes are not what they claim to be: damaged, truncated or hostile."""

    code = "SF_FORMAT"


class ModelError(SonicForgeError, RuntimeError):
    """A model could not be loaded or run."""

    code = "SF_MODEL"


class UnsupportedError(SonicForgeError, NotImplementedError):
    """Well formed, but not something this build or this call handles."""

    code = "SF_UNSUPPORTED"


class StoreError(SonicForgeError, RuntimeError):
    """A store could not be read or written."""

    code = "SF_STORE"


class CancelledError(SonicForgeError):
    """A `CancelToken` was raised. (Ctrl-C raises `KeyboardInterrupt` instead.)"""

    code = "SF_CANCELLED"


class InternalError(SonicForgeError, RuntimeError):
    """A defect of the library itself; please report it."""

    code = "SF_INTERNAL"


_BY_CODE: dict[str, type[SonicForgeError]] = {
    cls.code: cls
    for cls in (
        InvalidArgumentError,
        FormatError,
        ModelError,
        UnsupportedError,
        StoreError,
        CancelledError,
        InternalError,
    )
}


def _from_core(code: str, message: str, errno: int | None, filename: str | None) -> SonicForgeError:
    """The exception for an error of the core; the native half calls this."""
    if code != AudioIOError.code:
        return _BY_CODE.get(code, InternalError)(message)
    builtin = type(OSError(errno, message)) if errno is not None else OSError
    if issubclass(builtin, FileNotFoundError):
        return AudioFileNotFoundError(message, errno, filename)
    if issubclass(builtin, PermissionError):
        return AudioPermissionError(message, errno, filename)
    return AudioIOError(message, errno, filename)
