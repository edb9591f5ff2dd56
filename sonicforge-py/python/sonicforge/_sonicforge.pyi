from collections.abc import Callable
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

_Samples: TypeAlias = NDArray[np.float32]
_Progress: TypeAlias = Callable[[str, float], object] | None

__all__ = ["CancelToken", "__version__", "panic", "signal"]
__version__: str

@final
class CancelToken:
    def __new__(cls) -> CancelToken: ...
    def cancel(self) -> None: ...
    @property
    def cancelled(self) -> bool: ...

def signal(description: str, sample_rate: int, channels: int, seconds: float) -> tuple[_Samples, int]: ...
def panic(message: str, long: bool) -> None: ...
