"""SonicForge: audio files in and out, measurement, and mastering to a loudness target.

import sonicforge as sf

mastered = sf.master(sf.AudioBuffer.read("song.flac"), target="spotify")
mastered.audio.write("song-mastered.wav")
print(mastered.report.summary())
"""

from . import exceptions, testing
from ._audio import AudioBuffer
from ._sonicforge import CancelToken, __version__
from .exceptions import SonicForgeError

__all__ = [
    "AudioBuffer",
    "CancelToken",
    "SonicForgeError",
    "__version__",
    "exceptions",
    "testing",
]
