"""What a generator is asked for."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, TypeAlias, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arrays import Samples
from ._audio import AudioBuffer
from .exceptions import InvalidArgumentError

__all__ = ["Codes", "GenerationOptions", "GenerationRequest"]

Codes: TypeAlias = NDArray[np.uint32]
"""Codes of a neural codec, `(codebooks, frames)`."""


class GenerationOptions(TypedDict, total=False):
    """The settings of a `GenerationRequest` beside its prompt, as keyword arguments."""

    token_ids: Sequence[int] | NDArray[Any] | None
    seconds: float
    seed: int
    temperature: float | None
    top_k: int | None
    top_p: float | None
    guidance_scale: float | None
    continue_from: AudioBuffer | None
    continue_codes: ArrayLike | None
    keep_prompt: bool
    melody: AudioBuffer | None


@dataclass(frozen=True, slots=True, eq=False)
class GenerationRequest:
    """One piece of music to make. What is None is left to the generator; ranges are checked when it is asked."""

    prompt: str | None = None
    """What it should sound like; None for anything the model likes (unconditional). Not empty."""
    _: KW_ONLY
    token_ids: Sequence[int] | NDArray[Any] | None = None
    """Token ids instead of a prompt, for checkpoints without a tokenizer."""
    seconds: float = 10.0
    """New music in seconds, above 0 up to 3600; rounded up to whole frames of the codec."""
    seed: int = 0
    """Same seed and same request, same music. 0 to 2**64 - 1."""
    temperature: float | None = None
    """Logits are divided by it, 0.001 to 100: below 1 safer, above 1 wilder. 0 takes the most likely token always."""
    top_k: int | None = None
    """Only the k most likely tokens can be drawn, up to the size of a codebook; 0: all."""
    top_p: float | None = None
    """Only the most likely tokens that together reach this probability can be drawn, above 0 up to 1; 1: all."""
    guidance_scale: float | None = None
    """How much the prompt weighs, 1 to 50; 1 is without guidance."""
    continue_from: AudioBuffer | None = None
    """Music to go on from, at the generator's sample rate."""
    continue_codes: ArrayLike | None = None
    """Codes to go on from, whole numbers of `(codebooks, frames)`, instead of `continue_from`."""
    keep_prompt: bool = True
    """Whether the result begins with what it goes on from, as the codec hears it."""
    melody: AudioBuffer | None = None
    """A melody to follow, at the generator's sample rate; for melody models."""

    @classmethod
    def of(cls, request: GenerationRequest | Mapping[str, Any] | str | None) -> GenerationRequest:
        """From a prompt, or from a mapping with the names of the fields; a request stays what it is."""
        if isinstance(request, cls):
            return request
        if request is None or isinstance(request, str):
            return cls(request)
        if not isinstance(request, Mapping):
            raise TypeError(
                f"a request is a {type(request).__name__}; expected a GenerationRequest, a mapping or a prompt"
            )
        names = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(request) - set(names))
        if unknown:
            raise InvalidArgumentError(f"a request has no {', '.join(map(repr, unknown))}; it has {', '.join(names)}")
        return cls(**request)


def wish(request: GenerationRequest) -> dict[str, Any]:
    """The request as the native half takes it."""
    prompt = request.prompt
    if not isinstance(prompt, str | None):
        raise TypeError(f"the prompt is a {type(prompt).__name__}; expected a str, or None for music without one")
    if prompt is not None and any("\ud800" <= letter <= "\udfff" for letter in prompt):
        raise InvalidArgumentError("the prompt has half of a surrogate pair; expected text that UTF-8 can hold")
    ids = request.token_ids
    if ids is not None and not isinstance(ids, Sequence | np.ndarray):
        raise TypeError(f"token_ids is {ids!r}; expected a sequence of whole numbers")
    return {
        "prompt": prompt,
        "token_ids": None if ids is None else [whole("token_ids", token, 2**32 - 1) for token in ids],
        "seconds": number("seconds", request.seconds),
        "seed": whole("seed", request.seed, 2**64 - 1),
        "temperature": perhaps("temperature", request.temperature),
        "top_k": None if request.top_k is None else whole("top_k", request.top_k, 2**32 - 1),
        "top_p": perhaps("top_p", request.top_p),
        "guidance_scale": perhaps("guidance_scale", request.guidance_scale),
        "continue_from": sound("continue_from", request.continue_from),
        "continue_codes": None if request.continue_codes is None else codes("continue_codes", request.continue_codes),
        "keep_prompt": bool(request.keep_prompt),
        "melody": sound("melody", request.melody),
    }


def whole(name: str, value: object, most: int) -> int:
    """`value` as an int from 0 to `most`."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} is {value!r}; expected a whole number")
    n = operator.index(value)
    if not 0 <= n <= most:
        raise InvalidArgumentError(f"{name} is {n}; expected a whole number from 0 to {most}")
    return n


def number(name: str, value: object) -> float:
    """`value` as a float."""
    if isinstance(value, str | bytes | bool) or not hasattr(value, "__float__"):
        raise TypeError(f"{name} is {value!r}; expected a number")
    return float(value)


def perhaps(name: str, value: object) -> float | None:
    """`value` as a float, unless it is None."""
    return None if value is None else number(name, value)


def sound(name: str, audio: AudioBuffer | None) -> tuple[Samples, int] | None:
    """Samples and their rate."""
    if audio is None:
        return None
    if not isinstance(audio, AudioBuffer):
        raise TypeError(
            f"{name} is a {type(audio).__name__}; expected an AudioBuffer: AudioBuffer(samples, sample_rate)"
        )
    return audio.samples, audio.sample_rate


def codes(name: str, value: ArrayLike) -> Codes:
    """`value` as `(codebooks, frames)` uint32."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InvalidArgumentError(f"{name} has codebooks of several lengths; expected (codebooks, frames)") from error
    if array.ndim != 2:
        raise InvalidArgumentError(f"{name} has shape {array.shape}; expected (codebooks, frames)")
    if array.dtype.kind not in "iu" and array.size:
        raise InvalidArgumentError(f"{name} is {array.dtype}; expected whole numbers such as uint32")
    if array.size and not (array.min() >= 0 and array.max() < 2**32):
        raise InvalidArgumentError(f"{name} goes from {array.min()} to {array.max()}; expected entries of a codebook")
    return np.ascontiguousarray(array, dtype=np.uint32)
