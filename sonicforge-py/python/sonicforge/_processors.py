"""The stages of the mastering chain, their order as data, and the chain that runs them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, Self, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike

from . import _sonicforge
from ._arrays import Samples, planar
from ._audio import AudioBuffer
from ._documents import Record, _plain
from ._io import StrPath
from ._progress import Progress, listening
from ._sonicforge import CancelToken
from .exceptions import InvalidArgumentError

__all__ = [
    "DeEsser",
    "Equalizer",
    "EqualizerBand",
    "Exciter",
    "Gain",
    "Glue",
    "Limiter",
    "MasteringChain",
    "Multiband",
    "MultibandBand",
    "Preset",
    "Processor",
    "Widener",
]

BandKind: TypeAlias = Literal["peak", "low_shelf", "high_shelf", "high_pass", "low_pass", "notch"]


class Processor:
    """A sound in, a sound out. The base of all stages and of the chain.

    `render` takes a whole sound. For streams, `prepare` once and `process` block after block, of any lengths; the
    samples are the same. Parameters are attributes; changed while a stream runs, they glide.
    """

    __hash__ = None  # type: ignore[assignment]
    type: ClassVar[str]
    """The name of the stage in presets."""

    def __init__(self) -> None:
        self._native: _sonicforge.Chain | None = None
        self._channels = 0
        self._owner: tuple[MasteringChain, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a preset: plain dicts and lists."""
        raise NotImplementedError

    def _preset_json(self) -> str:
        """The preset of a chain that runs this."""
        return json.dumps({"modules": [self.to_dict()]})

    def prepare(self, *, sample_rate: int, channels: int = 2, max_frames: int = 8192) -> Self:
        """Gets ready for a stream of 1 or 2 channels, forgetting the past. Longer blocks are cut into `max_frames`."""
        if self._native is None:
            self._native = _sonicforge.Chain(self._preset_json())
        self._native.prepare(sample_rate, channels, max_frames)
        self._channels = channels
        return self

    def process(self, block: ArrayLike, *, out: Samples | None = None) -> Samples:
        """Works on the next frames, `(channels, frames)`.

        The result is a new array, or `out`; with `out=block` the block is changed in place and nothing is copied.
        """
        native = self._prepared()
        source = planar(block, channels=self._channels)
        if out is None:
            result = source.copy() if np.may_share_memory(source, np.asarray(block)) else source
            native.process(result)
            return result
        target = planar(out, channels=self._channels)
        if out is block and target is out:
            native.process(target)
            return out
        if not np.shares_memory(target, out) and out.size:
            raise InvalidArgumentError("out cannot be written in place; expected a C-contiguous float32 array")
        if target.shape != source.shape:
            raise InvalidArgumentError(f"out has shape {target.shape}; expected {source.shape} as the block")
        if target.ctypes.data != source.ctypes.data:
            np.copyto(target, source)
        native.process(target)
        return out

    def flush(self) -> Samples:
        """What is still inside at the end of a stream: the last `latency` frames."""
        self._prepared()
        return self.process(np.zeros((self._channels, self.latency), np.float32))

    def reset(self) -> None:
        """Forgets the past of the stream; parameters stay."""
        self._prepared().reset()

    @property
    def latency(self) -> int:
        """By how many frames the output of a stream lags. It depends on the sample rate, so `prepare` comes first."""
        return self._prepared().latency

    def render(
        self, audio: AudioBuffer, *, progress: Progress = None, cancel: CancelToken | None = None
    ) -> AudioBuffer:
        """The whole sound, with the latency taken off; the length stays. Leaves a running stream alone."""
        chain = _sonicforge.Chain(self._preset_json())
        with listening(progress) as listener:
            return AudioBuffer(*chain.render(audio.samples, audio.sample_rate, listener, cancel))

    def _prepared(self) -> _sonicforge.Chain:
        if self._native is None:
            raise InvalidArgumentError("call prepare(sample_rate=..., channels=...) first")
        return self._native

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Processor):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    def copy(self) -> Self:
        """Another one with the same parameters and no past."""
        copy: Self = _module(self.to_dict())  # type: ignore[assignment]
        return copy

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.copy()

    def __reduce__(self) -> tuple[Any, tuple[dict[str, Any]]]:
        return _module, (self.to_dict(),)


T = TypeVar("T")


class _Param(Generic[T]):
    """A parameter as an attribute: read from the stage's parameters, checked by the core when set."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc

    def __set_name__(self, owner: type[object], name: str) -> None:
        self._name = name

    @overload
    def __get__(self, stage: None, owner: type[object]) -> Self: ...
    @overload
    def __get__(self, stage: Stage, owner: type[object]) -> T: ...
    def __get__(self, stage: Stage | None, owner: type[object]) -> Self | T:
        if stage is None:
            return self
        value: T = stage._params[self._name]
        return value

    def __set__(self, stage: Stage, value: T) -> None:
        stage.update(**{self._name: value})


class Stage(Processor):
    """A processor that a few numbers describe."""

    _records: ClassVar[dict[str, type[Record]]] = {}

    def __init__(self, **params: Any) -> None:  # noqa: ANN401 (each stage spells its own)
        super().__init__()
        self._params = self._checked(params)

    @classmethod
    def _checked(cls, params: dict[str, Any]) -> dict[str, Any]:
        """The parameters as the core understands them; raises when one is unknown or out of range."""
        module = {"type": cls.type, **{name: _plain(value) for name, value in params.items()}}
        checked: dict[str, Any] = json.loads(_sonicforge.normalize("module", _dumps(module)))
        del checked["type"]
        for name, value in checked.items():
            if isinstance(value, list):
                record = cls._records.get(name)
                checked[name] = tuple(map(record.from_dict, value)) if record else tuple(value)
        return checked

    def update(self, **params: Any) -> None:  # noqa: ANN401
        """Changes several parameters at once."""
        self._params = self._checked({**self._params, **params})
        if self._native is not None:
            self._native.set_module(0, json.dumps(self.to_dict()))
        if self._owner is not None:
            chain, index = self._owner
            chain._changed(index)

    @property
    def params(self) -> dict[str, Any]:
        """All parameters by name. A copy."""
        return dict(self._params)

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a preset: plain dicts and lists."""
        return {"type": self.type, **{name: _plain(value) for name, value in self._params.items()}}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._params.items())})"


def _dumps(value: Any) -> str:  # noqa: ANN401
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"parameters must be finite numbers, words or lists of them: {error}") from error


class Gain(Stage):
    """A gain."""

    type = "gain"
    gain_db = _Param[float]("-200 to +200 dB; 0 is neutral.")

    def __init__(self, *, gain_db: float = 0.0) -> None:
        super().__init__(gain_db=gain_db)


@dataclass(frozen=True, slots=True)
class EqualizerBand(Record):
    """One band of an equalizer."""

    kind: BandKind = "peak"
    """Cuts and notches do not use the gain."""
    frequency_hz: float = 1000.0
    """Centre or corner, 10 to 192 000 Hz."""
    gain_db: float = 0.0
    """-30 to +30 dB; 0 is neutral for peaks and shelves."""
    q: float = 0.707
    """Quality, 0.1 to 40; 0.707 is Butterworth for cuts and shelves."""


class Equalizer(Stage):
    """A parametric equalizer of up to 32 bands, in series."""

    type = "equalizer"
    _records = {"bands": EqualizerBand}  # noqa: RUF012 (declared as ClassVar by the base)

    def __init__(self, *, bands: Sequence[EqualizerBand] = ()) -> None:
        super().__init__(bands=bands)

    @property
    def bands(self) -> tuple[EqualizerBand, ...]:
        """The bands; none is neutral."""
        bands: tuple[EqualizerBand, ...] = self._params["bands"]
        return bands

    @bands.setter
    def bands(self, bands: Sequence[EqualizerBand]) -> None:
        self.update(bands=bands)


class DeEsser(Stage):
    """A de-esser: a dynamic shelf that leaves alone what is not sibilant."""

    type = "de_esser"
    frequency_hz = _Param[float]("Corner of the shelf and of the listener, 2 000 to 16 000 Hz.")
    threshold_db = _Param[float]("Peak level in dBFS above which the upper band can be sibilant, -80 to 0.")
    relative_db = _Param[float]("The upper band re the whole sound in dB above which it is sibilant, -40 to 0.")
    ratio = _Param[float]("Excess dB per remaining dB, 1 to 20; 1 is neutral.")
    max_reduction_db = _Param[float]("The most that is taken, 0 to 24 dB; 0 is neutral.")
    attack_ms = _Param[float]("0.1 to 50 ms.")
    release_ms = _Param[float]("5 to 500 ms.")

    def __init__(
        self,
        *,
        frequency_hz: float = 5200.0,
        threshold_db: float = -36.0,
        relative_db: float = -14.0,
        ratio: float = 5.0,
        max_reduction_db: float = 9.0,
        attack_ms: float = 1.0,
        release_ms: float = 40.0,
    ) -> None:
        super().__init__(
            frequency_hz=frequency_hz,
            threshold_db=threshold_db,
            relative_db=relative_db,
            ratio=ratio,
            max_reduction_db=max_reduction_db,
            attack_ms=attack_ms,
            release_ms=release_ms,
        )


@dataclass(frozen=True, slots=True)
class MultibandBand(Record):
    """One band of a multiband compressor."""

    threshold_db: float = -24.0
    """Peak level in dBFS above which the band is turned down, -80 to 0."""
    ratio: float = 1.0
    """Input dB per output dB above the threshold, 1 to 20; 1 does nothing."""
    knee_db: float = 6.0
    """Width of the knee, 0 to 24 dB."""
    attack_ms: float = 20.0
    """Time to 63 % of a deeper reduction, 0.1 to 500 ms."""
    release_ms: float = 120.0
    """Time to 63 % of the way back after a short peak, 5 to 5 000 ms."""
    slow_release_ms: float = 800.0
    """The same after a long loud passage, 0 (off) to 10 000 ms."""
    makeup_db: float = 0.0
    """Gain of the band after its compressor, -24 to +24 dB."""


class Multiband(Stage):
    """A multiband compressor of 2 to 6 bands that sum flat."""

    type = "multiband"
    _records = {"bands": MultibandBand}  # noqa: RUF012

    def __init__(
        self,
        *,
        crossovers_hz: Sequence[float] = (120.0, 1200.0, 6000.0),
        bands: Sequence[MultibandBand] = (MultibandBand(),) * 4,
    ) -> None:
        super().__init__(crossovers_hz=crossovers_hz, bands=bands)

    @property
    def crossovers_hz(self) -> tuple[float, ...]:
        """One to five rising corners in Hz. Their number is changed together with the bands, by `update`."""
        corners: tuple[float, ...] = self._params["crossovers_hz"]
        return corners

    @crossovers_hz.setter
    def crossovers_hz(self, crossovers_hz: Sequence[float]) -> None:
        self.update(crossovers_hz=crossovers_hz)

    @property
    def bands(self) -> tuple[MultibandBand, ...]:
        """One band more than there are corners. All at ratio 1 with no makeup is neutral."""
        bands: tuple[MultibandBand, ...] = self._params["bands"]
        return bands

    @bands.setter
    def bands(self, bands: Sequence[MultibandBand]) -> None:
        self.update(bands=bands)


class Exciter(Stage):
    """An exciter that adds second and third harmonics without aliases."""

    type = "exciter"
    frequency_hz = _Param[float]("Corner of the band that is excited, 500 to 16 000 Hz.")
    even_db = _Param[float]("Level of the second harmonic re the band in dB, -60 to 0; -60 is off.")
    odd_db = _Param[float]("Level of the third harmonic re the band in dB, -60 to 0; -60 is off.")

    def __init__(self, *, frequency_hz: float = 3000.0, even_db: float = -60.0, odd_db: float = -60.0) -> None:
        super().__init__(frequency_hz=frequency_hz, even_db=even_db, odd_db=odd_db)


class Widener(Stage):
    """A stereo widener that leaves the mono fold-down alone."""

    type = "widener"
    width = _Param[float]("Gain of the side, 0 (mono) to 3; 1 leaves it alone.")
    mono_below_hz = _Param[float]("Below this the side is taken out, 0 (off) to 500 Hz.")
    decorrelation = _Param[float]("How much of a decorrelated mid becomes the side of a mono sound, 0 (off) to 1.")

    def __init__(self, *, width: float = 1.0, mono_below_hz: float = 0.0, decorrelation: float = 0.0) -> None:
        super().__init__(width=width, mono_below_hz=mono_below_hz, decorrelation=decorrelation)


class Glue(Stage):
    """A compressor over the whole mix."""

    type = "glue"
    threshold_db = _Param[float]("Peak level in dBFS above which the mix is turned down, -80 to 0.")
    ratio = _Param[float]("Input dB per output dB above the threshold, 1 to 20; 1 does nothing.")
    knee_db = _Param[float]("Width of the knee, 0 to 24 dB.")
    attack_ms = _Param[float]("Time to 63 % of a deeper reduction, 0.1 to 500 ms.")
    release_ms = _Param[float]("Time to 63 % of the way back after a short peak, 5 to 5 000 ms.")
    slow_release_ms = _Param[float]("The same after a long loud passage, 0 (off) to 10 000 ms.")
    sidechain_hz = _Param[float]("Corner of the high-pass it listens through, 10 to 500 Hz.")
    makeup_db = _Param[float]("Gain after it, -24 to +24 dB.")

    def __init__(
        self,
        *,
        threshold_db: float = -18.0,
        ratio: float = 1.0,
        knee_db: float = 10.0,
        attack_ms: float = 30.0,
        release_ms: float = 120.0,
        slow_release_ms: float = 800.0,
        sidechain_hz: float = 80.0,
        makeup_db: float = 0.0,
    ) -> None:
        super().__init__(
            threshold_db=threshold_db,
            ratio=ratio,
            knee_db=knee_db,
            attack_ms=attack_ms,
            release_ms=release_ms,
            slow_release_ms=slow_release_ms,
            sidechain_hz=sidechain_hz,
            makeup_db=makeup_db,
        )


class Limiter(Stage):
    """A true-peak limiter with look-ahead."""

    type = "limiter"
    ceiling_dbtp = _Param[float]("True peak that is not exceeded, -30 to 0 dBTP.")
    lookahead_ms = _Param[float]("How far ahead it looks, 0.5 to 20 ms. Shorter is louder, longer is smoother.")
    release_ms = _Param[float]("Time to 63 % of the way back after a short peak, 1 to 1 000 ms.")
    slow_release_ms = _Param[float]("The same after a long loud passage, 10 to 5 000 ms.")

    def __init__(
        self,
        *,
        ceiling_dbtp: float = -1.0,
        lookahead_ms: float = 2.0,
        release_ms: float = 12.0,
        slow_release_ms: float = 300.0,
    ) -> None:
        super().__init__(
            ceiling_dbtp=ceiling_dbtp,
            lookahead_ms=lookahead_ms,
            release_ms=release_ms,
            slow_release_ms=slow_release_ms,
        )


class Preset:
    """An ordered list of modules with their parameters: a chain as data, as JSON or TOML in a file."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, *, name: str = "", modules: Sequence[Processor | Preset] = (), schema: int = 1) -> None:
        self.schema = schema
        """Version of the format."""
        self.name = name
        """For people."""
        self.modules: list[Processor] = [MasteringChain(m) if isinstance(m, Preset) else m for m in modules]
        """In the order in which the sound passes them."""

    @classmethod
    def named(cls, name: str) -> Preset:
        """A preset of the house; see `names`."""
        return cls.from_json(_sonicforge.preset_named(name))

    @classmethod
    def names(cls) -> list[str]:
        """The names that `named` knows."""
        return _sonicforge.preset_names()

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Preset:
        """From plain dicts and lists."""
        return cls(name=fields["name"], modules=[_module(m) for m in fields["modules"]], schema=fields["schema"])

    def to_dict(self) -> dict[str, Any]:
        """As plain dicts and lists."""
        return {"schema": self.schema, "name": self.name, "modules": [module.to_dict() for module in self.modules]}

    @classmethod
    def from_json(cls, text: str) -> Preset:
        """From JSON text; unknown fields and values out of range are errors that name the place."""
        return cls.from_dict(json.loads(_sonicforge.normalize("preset", text)))

    def to_json(self) -> str:
        """As JSON text."""
        return _sonicforge.normalize("preset", json.dumps(self.to_dict()))

    @classmethod
    def from_toml(cls, text: str) -> Preset:
        """From TOML text."""
        return cls.from_json(_sonicforge.preset_from_toml(text))

    def to_toml(self) -> str:
        """As TOML text."""
        return _sonicforge.preset_to_toml(self.to_json())

    @classmethod
    def load(cls, path: StrPath) -> Preset:
        """From a file; `.toml` is TOML, anything else JSON."""
        return cls.from_json(_sonicforge.preset_load(path))

    def save(self, path: StrPath) -> None:
        """To a file; `.toml` is TOML, anything else JSON."""
        _sonicforge.preset_save(path, self.to_json())

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Preset) else NotImplemented

    def __repr__(self) -> str:
        return f"Preset(name={self.name!r}, modules={self.modules!r})"

    def __reduce__(self) -> tuple[Any, tuple[dict[str, Any]]]:
        return Preset.from_dict, (self.to_dict(),)


class MasteringChain(Processor):
    """Runs modules one after the other. The chain keeps copies of the modules it is given.

    Change a parameter of one of its `modules` while it runs, and it glides there; make a new chain to change the order.
    """

    type = "chain"

    def __init__(self, modules: Sequence[Processor | Preset] | Preset | str = (), *, name: str = "") -> None:
        super().__init__()
        preset = Preset.named(modules) if isinstance(modules, str) else modules
        if not isinstance(preset, Preset):
            preset = Preset(name=name, modules=preset)
        # Through the core and back: checked, and copies that belong to this chain alone.
        checked = Preset.from_json(preset.to_json())
        self._name = name or checked.name
        self._modules = tuple(checked.modules)
        for index, module in enumerate(self._modules):
            module._owner = (self, index)

    @property
    def name(self) -> str:
        """For people."""
        return self._name

    @property
    def modules(self) -> tuple[Processor, ...]:
        """What the sound passes, in order."""
        return self._modules

    @property
    def preset(self) -> Preset:
        """The chain as data. A copy."""
        return Preset.from_dict(self._as_preset())

    def _as_preset(self) -> dict[str, Any]:
        return {"schema": 1, "name": self._name, "modules": [module.to_dict() for module in self._modules]}

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a preset that it is nested in."""
        return {"type": self.type, **self._as_preset()}

    def _preset_json(self) -> str:
        return json.dumps(self._as_preset())

    def _changed(self, index: int) -> None:
        if self._native is not None:
            self._native.set_module(index, json.dumps(self._modules[index].to_dict()))
        if self._owner is not None:
            chain, place = self._owner
            chain._changed(place)

    @property
    def non_finite_samples(self) -> int:
        """Samples of the stream that came in as NaN or infinite and were taken as silence."""
        return self._prepared().non_finite_samples

    def __repr__(self) -> str:
        name = f", name={self._name!r}" if self._name else ""
        return f"MasteringChain({list(self._modules)!r}{name})"


_STAGES: dict[str, type[Stage]] = {
    stage.type: stage for stage in (Gain, Equalizer, DeEsser, Multiband, Exciter, Widener, Glue, Limiter)
}


def _module(fields: dict[str, Any]) -> Processor:
    """A module from what stands in a preset."""
    fields = dict(fields)
    kind = fields.pop("type")
    if kind == MasteringChain.type:
        return MasteringChain(Preset.from_dict(fields))
    return _STAGES[kind](**fields)
