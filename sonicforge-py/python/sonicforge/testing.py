"""Named deterministic signals: the same description gives the same samples in Rust, Python and Node."""

from __future__ import annotations

import json

from . import _sonicforge
from ._audio import AudioBuffer

__all__ = ["signal"]


def signal(
    kind: str, *, sample_rate: int = 48_000, channels: int = 2, seconds: float = 1.0, **params: float
) -> AudioBuffer:
    """`seconds` of a named signal.

    Kinds and their parameters: `silence`; `sine` (`frequency_hz`, `level_dbfs`, `phase_deg`); `sweep` (`from_hz`,
    `to_hz`, `level_dbfs`); `noise` (`level_dbfs`, `seed`); `impulse` (`at`); `constant` (`value`); `music` (`seed`).
    """
    description = json.dumps({"kind": kind, **params})
    return AudioBuffer(*_sonicforge.signal(description, sample_rate, channels, seconds))
