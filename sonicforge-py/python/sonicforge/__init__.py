"""SonicForge: audio files in and out, measurement, mastering to a loudness target, fingerprints, and music from text.

import sonicforge as sf

mastered = sf.master(sf.AudioBuffer.read("song.flac"), target="spotify")
mastered.audio.write("song-mastered.wav")
print(mastered.report.summary())
"""

from . import exceptions, testing
from ._analysis import Analysis, Analyzer, BandLevel, Live, Timeline, analyze
from ._audio import AudioBuffer
from ._fingerprint import (
    Chromaprint,
    Fingerprint,
    Fingerprinter,
    Index,
    Match,
    acoustid_lookup,
    acoustid_submit,
    fingerprint,
)
from ._generate import (
    CallableGenerator,
    GenerationRequest,
    Generator,
    ModelInfo,
    MusicGen,
    MusicStream,
    QuantizeReport,
    quantize,
)
from ._io import FileInfo, Picture, Reader, Tags, Writer, info, tags
from ._master import (
    BandReduction,
    GainReduction,
    Mastered,
    MatchParts,
    Plan,
    ReductionTimeline,
    Report,
    Target,
    gain_matched,
    master,
    master_file,
    plan,
)
from ._processors import (
    DeEsser,
    Equalizer,
    EqualizerBand,
    Exciter,
    Gain,
    Glue,
    Limiter,
    MasteringChain,
    Multiband,
    MultibandBand,
    Preset,
    Processor,
    Widener,
)
from ._sonicforge import CancelToken, __version__
from ._versions import show_versions
from .exceptions import SonicForgeError

__all__ = [
    "Analysis",
    "Analyzer",
    "AudioBuffer",
    "BandLevel",
    "BandReduction",
    "CallableGenerator",
    "CancelToken",
    "Chromaprint",
    "DeEsser",
    "Equalizer",
    "EqualizerBand",
    "Exciter",
    "FileInfo",
    "Fingerprint",
    "Fingerprinter",
    "Gain",
    "GainReduction",
    "GenerationRequest",
    "Generator",
    "Glue",
    "Index",
    "Limiter",
    "Live",
    "Mastered",
    "MasteringChain",
    "Match",
    "MatchParts",
    "ModelInfo",
    "Multiband",
    "MultibandBand",
    "MusicGen",
    "MusicStream",
    "Picture",
    "Plan",
    "Preset",
    "Processor",
    "QuantizeReport",
    "Reader",
    "ReductionTimeline",
    "Report",
    "SonicForgeError",
    "Tags",
    "Target",
    "Timeline",
    "Widener",
    "Writer",
    "__version__",
    "acoustid_lookup",
    "acoustid_submit",
    "analyze",
    "exceptions",
    "fingerprint",
    "gain_matched",
    "info",
    "master",
    "master_file",
    "plan",
    "quantize",
    "show_versions",
    "tags",
    "testing",
]
