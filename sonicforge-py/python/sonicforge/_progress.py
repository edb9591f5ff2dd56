"""What `progress=` may be: a function, or True for a bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Listener: TypeAlias = Callable[[str, float], object]
Progress: TypeAlias = Listener | bool | None


@contextmanager
def listening(progress: Progress) -> Iterator[Listener | None]:
    """Turns `progress` into the function that the native half calls with (stage, fraction)."""
    if progress is None or progress is False:
        yield None
    elif progress is not True:
        yield progress
    else:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            yield _line
            print(file=sys.stderr)
        else:
            with tqdm(total=100, bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}") as bar:

                def show(stage: str, fraction: float) -> None:
                    bar.set_description_str(stage)
                    bar.update(100 * fraction - bar.n)

                yield show


def _line(stage: str, fraction: float) -> None:
    print(f"\r{stage}: {fraction:4.0%} ", end="", file=sys.stderr, flush=True)
