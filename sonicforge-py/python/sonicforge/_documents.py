"""Results as frozen dataclasses: attributes for people, JSON text for Rust, Node and files."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable
from typing import Any, ClassVar, Self

from . import _sonicforge
from .exceptions import FormatError


class Record:
    """The base of the frozen dataclasses that the core's JSON becomes."""

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Self:
        """From plain dicts and lists, as `json.loads` gives them."""
        try:
            return cls(**{name: read(fields[name]) for name, read in _readers(cls).items()})
        except (KeyError, TypeError) as error:
            raise FormatError(f"this is no {cls.__name__}: {error!r}") from error

    def to_dict(self) -> dict[str, Any]:
        """As plain dicts and lists."""
        fields: dict[str, Any] = _plain(self)
        return fields


class Document(Record):
    """A record with a schema of its own, which the core can check."""

    _kind: ClassVar[str]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """From the JSON text that any of the three languages wrote."""
        return cls.from_dict(json.loads(_sonicforge.normalize(cls._kind, text)))

    def to_json(self) -> str:
        """As the JSON text that all three languages read."""
        return _sonicforge.normalize(self._kind, json.dumps(self.to_dict()))


_READERS: dict[type[Any], dict[str, Callable[[Any], Any]]] = {}


def _readers(cls: type[Any]) -> dict[str, Callable[[Any], Any]]:
    """How each field of the class is made from what JSON has for it."""
    if cls not in _READERS:
        hints = typing.get_type_hints(cls)
        _READERS[cls] = {field.name: _reader(hints[field.name]) for field in dataclasses.fields(cls)}
    return _READERS[cls]


def _reader(hint: Any) -> Callable[[Any], Any]:  # noqa: ANN401 (type hints are of any type)
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        inner = _reader(next(arg for arg in typing.get_args(hint) if arg is not type(None)))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        inner = _reader(typing.get_args(hint)[0])
        return tuple if inner is _as_is else lambda value: tuple(map(inner, value))
    if isinstance(hint, type) and hasattr(hint, "from_dict"):
        return hint.from_dict  # type: ignore[no-any-return]
    return _as_is


def _as_is(value: Any) -> Any:  # noqa: ANN401
    return value


def _plain(value: Any) -> Any:  # noqa: ANN401
    if hasattr(value, "to_dict") and not isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, Record):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}  # type: ignore[arg-type]
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value] if value and not isinstance(value[0], (float, int)) else list(value)
    return value
