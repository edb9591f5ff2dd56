"""Text to music: MusicGen, or any model of the host's own behind the same door."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Literal, Protocol, Self, TypeAlias, Unpack

from numpy.typing import ArrayLike

from . import _sonicforge
from ._arrays import Samples
from ._audio import AudioBuffer
from ._documents import Record
from ._io import StrPath
from ._progress import Listener, Progress, listening
from ._request import Codes, GenerationOptions, GenerationRequest, sound, whole, wish
from ._request import codes as _codes
from ._sonicforge import CancelToken
from .exceptions import CancelledError, ModelError

__all__ = [
    "CallableGenerator",
    "GenerationRequest",
    "Generator",
    "ModelInfo",
    "MusicGen",
    "MusicStream",
    "QuantizeReport",
    "quantize",
]

Precision: TypeAlias = Literal["f32", "f16", "bf16", "q8_0", "q6_k", "q4_k"]
AnyRequest: TypeAlias = GenerationRequest | Mapping[str, Any] | str | None
Host: TypeAlias = Callable[[GenerationRequest, Callable[[float], None]], AudioBuffer]


@dataclass(frozen=True, slots=True)
class ModelInfo(Record):
    """What was loaded."""

    family: str
    """`musicgen` or `musicgen_melody`."""
    licence: str
    """Licence of the weights, as the checkpoint says; `unknown` when it does not. Meta's are CC-BY-NC-4.0."""
    sample_rate: int
    """In Hz."""
    channels: int
    """1 or 2."""
    frame_rate: float
    """Codes per second and codebook."""
    codebooks: int
    """Codebooks of all channels."""
    codebook_size: int
    """Entries of a codebook."""
    window_seconds: float
    """Music that fits one window, in seconds; longer pieces go on in further ones."""
    melody: bool
    """Whether it follows a melody."""
    tokenizer: bool
    """Whether it reads text, or only token ids."""
    precision: str
    """How the weights are kept: f32, f16, bf16, q8_0, q6_k, q4_k."""
    device: str
    """`cpu (avx512-vnni)`, `cuda:0` …"""
    threads: int
    """Threads on a CPU."""
    weight_bytes: int
    """Bytes of the language model's and text encoder's weights in memory."""
    step_bytes: int
    """Bytes of them that one step reads."""


@dataclass(frozen=True, slots=True)
class QuantizeReport(Record):
    """What came of `quantize`."""

    precision: str
    """The precision asked for."""
    licence: str
    """Licence of the weights, which is that of the new file too; `unknown` where the folder does not say it."""
    bytes_before: int
    """Bytes of the safetensors files."""
    bytes_after: int
    """Bytes of the GGUF file."""
    weights: int
    """How many weights were written."""
    weights_quantized: int
    """How many of them in blocks of 8, 6 or 4 bits."""
    relative_error: float
    """The root of the mean squared error of those, relative to the root of their mean square."""
    fallbacks: tuple[tuple[str, str], ...] = field(repr=False)
    """Tensors whose rows the blocks of their precision do not divide, and what they were written in instead."""


def quantize(
    folder: StrPath,
    path: StrPath,
    quantization: Precision = "q8_0",
    *,
    compact: bool = False,
    progress: Progress = None,
    cancel: CancelToken | None = None,
) -> QuantizeReport:
    """Writes the checkpoint in `folder` into one GGUF file with everything that is needed to run it.

    `quantization` is one of `f32 f16 bf16 q8_0 q6_k q4_k`. `compact` keeps the codec in 8 bits too, where the precision
    is one of the last three: for small models, whose codec weighs as much as the rest. The file appears whole or not at
    all; one that is there is replaced. Needs memory for a few megabytes of weights at a time.
    """
    with listening(progress) as listener:
        text = _sonicforge.quantize(folder, path, quantization, compact, listener, cancel)
    return QuantizeReport.from_dict(json.loads(text))


class Generator(ABC):
    """Makes music from requests: `MusicGen`, or a function of the host's (`Generator.from_callable`)."""

    @staticmethod
    def from_callable(function: Host) -> CallableGenerator:
        """A generator whose pieces `function(request, report)` makes; see `CallableGenerator`."""
        return CallableGenerator(function)

    def generate(
        self,
        prompt: GenerationRequest | str | None = None,
        *,
        progress: Progress = None,
        cancel: CancelToken | None = None,
        **options: Unpack[GenerationOptions],
    ) -> AudioBuffer:
        """Makes one piece.

        `prompt` says what it should sound like (None: anything), or is a whole `GenerationRequest`. The options are its
        fields, with ranges and units there: `token_ids=None, seconds=10.0, seed=0, temperature=None, top_k=None,
        top_p=None, guidance_scale=None, continue_from=None, continue_codes=None, keep_prompt=True, melody=None`. The
        same request with the same seed gives the same audio.

        `progress` hears of the stages `prompt`, `generate` and `decode` with the share that is done, 0 to 1.
        """
        with listening(progress) as listener:
            return self._make([_request(prompt, options)], listener, cancel)[0]

    def generate_batch(
        self, requests: Iterable[AnyRequest], *, progress: Progress = None, cancel: CancelToken | None = None
    ) -> list[AudioBuffer]:
        """Makes several pieces in one go: each is what it would be alone. Lengths, seeds and settings may differ.

        A request is a `GenerationRequest`, a mapping with the names of its fields, or a prompt. `MusicGen` takes 1 to
        64.
        """
        if isinstance(requests, str | Mapping):
            raise TypeError(f"requests is a {type(requests).__name__}; expected a list of requests")
        with listening(progress) as listener:
            return self._make([GenerationRequest.of(request) for request in requests], listener, cancel)

    def stream(
        self,
        prompt: GenerationRequest | str | None = None,
        *,
        progress: Progress = None,
        cancel: CancelToken | None = None,
        **options: Unpack[GenerationOptions],
    ) -> MusicStream:
        """Makes one piece while it is listened to: iterate over the chunks, `AudioBuffer`s.

        Together they are the same samples as those of `generate`, which has the same arguments. A generator that cannot
        stream gives one chunk.
        """
        request = _request(prompt, options)
        return MusicStream(lambda listener: self._begin(request, listener, cancel), progress, cancel)

    @abstractmethod
    def _make(
        self, requests: list[GenerationRequest], listener: Listener | None, cancel: CancelToken | None
    ) -> list[AudioBuffer]: ...

    def _begin(self, request: GenerationRequest, listener: Listener | None, cancel: CancelToken | None) -> _Chunks:
        return _OneChunk(self, request)


class MusicGen(Generator):
    """A model of the MusicGen family: the default one that is part of the package, or a checkpoint of your own.

    `model = MusicGen.load()` needs no download: a small model whose weights are under MIT OR Apache-2.0. It knows the
    styles of its model card. `MusicGen.load("musicgen-small")` loads a folder or a GGUF file.

    Meta's published weights are not for commercial use; `model.info.licence` says what a checkpoint's own licence is.
    """

    def __init__(self, native: _sonicforge.MusicGen) -> None:
        """`load` makes one."""
        self._native = native
        self._info = ModelInfo.from_dict(json.loads(native.info()))

    @classmethod
    def load(
        cls,
        source: StrPath | None = None,
        *,
        device: str = "cpu",
        quantization: Precision | None = None,
        threads: int = 0,
        progress: Progress = None,
        cancel: CancelToken | None = None,
    ) -> Self:
        """Loads the default model (`source` None), or a checkpoint.

        `source` is a folder in the Hugging Face layout (`config.json`, `model.safetensors` or its shards,
        `tokenizer.json`, `generation_config.json`), or one GGUF file that `quantize` wrote.

        `device` is `cpu`; in builds for them also `cuda`, `cuda:1`, `metal`. `quantization` is how the weights are
        kept, `f32 f16 bf16 q8_0 q6_k q4_k`; None: a GGUF file as it is, a folder as q8_0 on a CPU and bf16 on a device.
        `threads` on a CPU, up to 256; 0: as many as the machine has, up to 8. The audio does not depend on it. A model
        with one thread works in forked processes too, one with more raises `ModelError` there.
        """
        count = whole("threads", threads, 2**32 - 1)
        with listening(progress) as listener:
            return cls(_sonicforge.MusicGen(source, device, quantization, count, listener, cancel))

    @property
    def info(self) -> ModelInfo:
        """What was loaded, the licence of the weights among it."""
        return self._info

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a prompt, with the end-of-sequence token. `UnsupportedError` without a tokenizer."""
        return self._native.tokenize(text)

    def generate_codes(
        self,
        prompt: GenerationRequest | str | None = None,
        *,
        progress: Progress = None,
        cancel: CancelToken | None = None,
        **options: Unpack[GenerationOptions],
    ) -> Codes:
        """As `generate`, but the codes instead of the audio: `(codebooks, frames)` uint32.

        They begin with those it went on from.
        """
        with listening(progress) as listener:
            return self._native.generate_codes([wish(_request(prompt, options))], listener, cancel)[0]

    def decode_codes(
        self, codes: ArrayLike, *, progress: Progress = None, cancel: CancelToken | None = None
    ) -> AudioBuffer:
        """The audio of codes, whole numbers of `(codebooks, frames)`."""
        with listening(progress) as listener:
            return AudioBuffer(*self._native.decode_codes(_codes("codes", codes), listener, cancel))

    def encode_audio(
        self, audio: AudioBuffer, *, progress: Progress = None, cancel: CancelToken | None = None
    ) -> Codes:
        """The codes of audio at the model's sample rate: `(codebooks, frames)` uint32.

        The last frame may reach past the end of the audio.
        """
        given = sound("audio", audio)
        if given is None:
            raise TypeError("audio is None; expected an AudioBuffer")
        with listening(progress) as listener:
            return self._native.encode_audio(*given, listener, cancel)

    def _make(
        self, requests: list[GenerationRequest], listener: Listener | None, cancel: CancelToken | None
    ) -> list[AudioBuffer]:
        made = self._native.generate([wish(request) for request in requests], listener, cancel)
        return [AudioBuffer(*samples) for samples in made]

    def _begin(self, request: GenerationRequest, listener: Listener | None, cancel: CancelToken | None) -> _Chunks:
        return self._native.stream(wish(request), listener, cancel)

    def __repr__(self) -> str:
        info = self._info
        return f"<MusicGen {info.family}, {info.precision}, {info.device}, weights: {info.licence}>"


class CallableGenerator(Generator):
    """A generator written by the host.

    `function(request, report)` gets a `GenerationRequest` and gives an `AudioBuffer`. While it works it may call
    `report(fraction)` with the share that is done, 0 to 1: that is passed on as progress, and raises `CancelledError`
    when the caller wants to stop. Requests are checked before it is called, what it returns must have at least one
    frame and only finite samples (else `ModelError`), and what it raises comes out unchanged. It runs on the thread of
    the call.
    """

    def __init__(self, function: Host) -> None:
        if not callable(function):
            raise TypeError(f"the generator is a {type(function).__name__}; expected a function (request, report)")
        self._function = function

    def _make(
        self, requests: list[GenerationRequest], listener: Listener | None, cancel: CancelToken | None
    ) -> list[AudioBuffer]:
        def call(index: int) -> tuple[Samples, int]:
            def report(fraction: float) -> None:
                if cancel is not None and cancel.cancelled:
                    raise CancelledError("generating was cancelled")
                if listener is not None:
                    listener("generate", (index + min(max(float(fraction), 0.0), 1.0)) / len(requests))

            audio = self._function(requests[index], report)
            if not isinstance(audio, AudioBuffer):
                raise ModelError(f"the generator returned a {type(audio).__name__}; expected an AudioBuffer")
            return audio.samples, audio.sample_rate

        made = _sonicforge.generate_with(call, [wish(request) for request in requests], listener, cancel)
        return [AudioBuffer(*samples) for samples in made]


class _Chunks(Protocol):
    """What a stream draws from."""

    def next(self, progress: Listener | None, cancel: CancelToken | None) -> tuple[Samples, int] | None: ...
    def close(self) -> None: ...


class _OneChunk:
    """The whole piece as the only chunk."""

    def __init__(self, generator: Generator, request: GenerationRequest) -> None:
        self._left: tuple[Generator, GenerationRequest] | None = (generator, request)

    def next(self, progress: Listener | None, cancel: CancelToken | None) -> tuple[Samples, int] | None:
        if self._left is None:
            return None
        generator, request = self._left
        audio = generator._make([request], progress, cancel)[0]
        self._left = None
        return audio.samples, audio.sample_rate

    def close(self) -> None:
        self._left = None


class MusicStream:
    """A piece that is being made: an iterator of `AudioBuffer`s, each at least one frame long.

    with model.stream("a slow waltz", seconds=30) as stream:
        for chunk in stream: ...

    The GIL is free while a chunk is made, Ctrl-C stops within it, and after a stop the stream can go on. Closing it, or
    leaving the `with` block, ends it.
    """

    def __init__(
        self, begin: Callable[[Listener | None], _Chunks], progress: Progress, cancel: CancelToken | None
    ) -> None:
        """`Generator.stream` makes one."""
        with ExitStack() as stack:
            self._listener = stack.enter_context(listening(progress))
            self._chunks = begin(self._listener)
            self._cancel = cancel
            self._turn = Lock()  # threads that share a stream take turns
            self._open = stack.pop_all()

    def __iter__(self) -> Iterator[AudioBuffer]:
        return self

    def __next__(self) -> AudioBuffer:
        with self._turn:
            chunk = self._chunks.next(self._listener, self._cancel)
        if chunk is None:
            self.close()
            raise StopIteration
        return AudioBuffer(*chunk)

    def close(self) -> None:
        """Ends the piece: no further chunk comes."""
        self._chunks.close()
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _request(prompt: GenerationRequest | str | None, options: GenerationOptions) -> GenerationRequest:
    if isinstance(prompt, GenerationRequest):
        return replace(prompt, **options) if options else prompt
    return GenerationRequest(prompt, **options)
