"""What to paste into a bug report."""

import platform
import sys

from ._sonicforge import __version__


def show_versions() -> None:
    """Prints the versions of the library and of what it runs on."""
    import numpy as np

    print(f"sonicforge {__version__}")
    print(f"python     {platform.python_version()} ({platform.python_implementation()})")
    print(f"numpy      {np.__version__}")
    print(f"platform   {platform.platform()} {platform.machine()}")
    print(f"executable {sys.executable}")
