"""The score grammar: a seed becomes attributes, the attributes a score, the score sixteen-kilohertz mono sound.

Sources: diatonic harmony and four-part spacing as in W. Piston, "Harmony" (chords move to the nearest inversion); melodies
from a repeated rhythmic motif with chord tones on strong beats, after F. Lerdahl and R. Jackendoff, "A Generative Theory of
Tonal Music" (1983); swing as a delayed off-beat. All rules are ours; the timbres are the note bank (bank.py).

    python music.py BANK.npz OUTDIR 0 12        # twelve clips as WAV with their captions
"""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from scipy.signal import butter, lfilter, sosfilt

RATE_HZ = 16000
ROOTS = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"]
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
# four-chord loops in scale degrees, one chord a bar; the diminished chord is left out
LOOPS = {
    "major": [(0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 3), (5, 3, 0, 4), (0, 2, 3, 4), (0, 3, 0, 4), (3, 4, 0, 5)],
    "minor": [(0, 5, 2, 6), (0, 6, 5, 6), (0, 3, 5, 4), (0, 5, 3, 6), (0, 3, 6, 2), (5, 6, 0, 0), (0, 2, 6, 3)],
}
JAZZ_LOOPS = {
    "major": [(1, 4, 0, 5), (0, 5, 1, 4), (2, 5, 1, 4), (0, 3, 1, 4)],
    "minor": [(0, 3, 6, 2), (0, 5, 3, 4), (3, 6, 2, 5), (0, 3, 0, 4)],
}


@dataclass(frozen=True)
class Style:
    """What a style may do. Patterns are 16 steps a bar; instrument lists are the palettes of the roles."""

    bpm: tuple[int, int]
    drums: float  # probability
    kits: tuple[str, ...]
    grooves: tuple[dict[str, str], ...]
    bass: tuple[str, ...]
    bass_patterns: tuple[str, ...]
    chords: tuple[str, ...]  # instruments
    chord_patterns: tuple[str, ...]
    lead: tuple[str, ...]
    pad: tuple[str, ...] = ()
    pulse: tuple[str, ...] = ()  # arpeggios
    pulse_step: tuple[int, ...] = (2,)
    roles: dict[str, float] = field(default_factory=dict)  # probability of bass, chords, lead, pad, pulse
    seventh: float = 0.0
    swing: float = 0.0  # how far the off-beat sixteenth (or eighth, for jazz) is late, in steps
    reverb_s: tuple[float, float] = (0.4, 1.2)
    wet: float = 0.12
    pump: float = 0.0
    tone: str = "neutral"
    minor: float = 0.5


# In grooves: x loud, o middle, . silent, - soft. In bass: r root, 5 fifth, 8 octave, w walking, _ held. Chords: c short, C held.
STYLES: dict[str, Style] = {
    "ambient": Style(
        (55, 92), 0.12, ("soft",),
        ({"kick": "o.......o.......", "shaker": "o.-.o.-.o.-.o.-.", "rim": "........o......."}, {"kick": "o.........o.....", "snare": "........o.......", "hat": "-.-.-.-.-.-.-.-."}),
        ("sub_bass",), ("r_______________",), ("piano", "epiano", "choir"), ("C_______________",),
        ("flute", "piano", "bell"), ("warm_pad", "strings", "choir", "saw_pad"), ("piano", "harp", "bell", "epiano"),
        (2, 4), {"bass": 0.6, "chords": 0.1, "lead": 0.15, "pad": 1.0, "pulse": 1.0}, 0.5, 0.0, (2.0, 3.5), 0.45),
    "techno": Style(
        (122, 148), 0.93, ("house",),
        ({"kick": "x...x...x...x...", "open": "..x...x...x...x.", "clap": "....x.......x..."},
         {"kick": "x...x...x...x...", "hat": "o.x.o.x.o.x.o.x.", "rim": "..-..-....-..-.."},
         {"kick": "x...x...x...x..o", "hat": "..x...x...x...x.", "clap": "....x.......x..o"}),
        ("acid_bass", "saw_bass"), ("..rr..rr..rr..rr", ".rrr.rrr.rrr.r8r", "rr8rrr8rrrr8rr8r"),
        ("stab",), ("...c..c....c..c.", "c..c..c.........", "..c.....c..c...."), ("saw_lead",), ("saw_pad",),
        ("pluck",), (1,), {"bass": 1.0, "chords": 0.6, "lead": 0.1, "pad": 0.25, "pulse": 0.5}, 0.1, 0.0, (0.3, 0.8), 0.1,
        0.5, minor=0.8),
    "house": Style(
        (115, 129), 0.93, ("house",),
        ({"kick": "x...x...x...x...", "open": "..x...x...x...x.", "clap": "....x.......x...", "shaker": "-.--.--.-.--.--."},
         {"kick": "x...x...x...x...", "open": "..x...x...x...x.", "snare": "....o.......o..-", "hat": "-.-.-.-.-.-.-.-."}),
        ("finger_bass", "saw_bass"), ("..r...r...r..r8.", "r..r..8.r..r..5.", "..r..r8...r..r5."),
        ("piano", "epiano", "organ"), ("..c..c..c..c..c.", "c..c..c...c..c..", "...c..c....c..c."), ("brass", "saw_lead", "flute"),
        ("strings", "warm_pad"), ("pluck",), (2,), {"bass": 1.0, "chords": 1.0, "lead": 0.2, "pad": 0.35, "pulse": 0.1},
        0.6, 0.12, (0.4, 0.9), 0.12, 0.35),
    "lofi": Style(
        (65, 92), 0.88, ("soft", "jazz"),
        ({"kick": "x......x..x.....", "snare": "....o.......o...", "hat": "o.o.o.o.o.o.o.o."},
         {"kick": "x.....x...x....-", "snare": "....o.......o...", "hat": "o.-.o.-.o.-.o.--"},
         {"kick": "x..x......x.....", "rim": "....x.......x...", "hat": "o.o.o.o.o.o.o.o."}),
        ("sub_bass", "acoustic_bass"), ("r_____..r__.....", "r__...r_..5_....", "r_______..8_5_.."),
        ("epiano", "clean_guitar", "piano"), ("C_______..c.....", "C_____C_________", "C_______C_______"),
        ("piano", "sax", "flute"), ("strings",), ("epiano", "clean_guitar"), (2,),
        {"bass": 0.9, "chords": 1.0, "lead": 0.4, "pad": 0.15, "pulse": 0.15}, 1.0, 0.3, (0.5, 1.0), 0.15, tone="dark", minor=0.6),
    "jazz": Style(
        (92, 180), 0.85, ("jazz",),
        ({"ride": "x...x..ox...x..o", "pedal": "....x.......x...", "rim": "....o.......o...", "kick": "-.......-......."},
         {"ride": "x...x..ox...x..o", "pedal": "....x.......x...", "snare": "....-..o....-.o."}),
        ("acoustic_bass",), ("w...w...w...w...",), ("piano", "clean_guitar"),
        ("c......c........", "...c......c.....", "c.....c....c....", "......c.......c."), ("sax", "piano", "flute"),
        (), ("piano",), (4,), {"bass": 1.0, "chords": 0.9, "lead": 0.75, "pad": 0.0, "pulse": 0.0}, 1.0, 0.67, (0.5, 1.0), 0.12),
    "rock": Style(
        (100, 165), 0.93, ("power", "standard"),
        ({"kick": "x.......x.x.....", "snare": "....x.......x...", "hat": "x.x.x.x.x.x.x.x."},
         {"kick": "x.....x.x.......", "snare": "....x.......x...", "ride": "x.x.x.x.x.x.x.x."},
         {"kick": "x..x..x...x.....", "snare": "....x.......x...", "open": "x...x...x...x..."}),
        ("finger_bass",), ("r.r.r.r.r.r.r.r.", "r_r.r_r.r_r.5_5."), ("dist_guitar",),
        ("c.c.c.c.c.c.c.c.", "C___..c.C___c.c.", "c.ccc.c.c.ccc.c.", "C_______C_______"), ("dist_guitar", "organ"),
        ("organ",), ("steel_guitar",), (2,), {"bass": 1.0, "chords": 1.0, "lead": 0.35, "pad": 0.15, "pulse": 0.05}),
    "chiptune": Style(
        (110, 175), 0.8, ("chip",),
        ({"kick": "x...x...x...x...", "snare": "....x.......x...", "hat": "o.o.o.o.o.o.o.o."},
         {"kick": "x.....x.x.......", "snare": "....x.......x..x", "hat": "o.ooo.ooo.ooo.oo"}),
        ("chip_bass",), ("r.r.8.r.r.r.8.r.", "r.8.r.8.r.8.r.8.", "rr.rrr.rrr.rrr8."), ("pulse",), ("c..c..c.c..c..c.",),
        ("square",), (), ("pulse",), (1,), {"bass": 1.0, "chords": 0.05, "lead": 0.85, "pad": 0.0, "pulse": 0.9},
        0.0, 0.0, (0.2, 0.3), 0.0, tone="bright", minor=0.4),
    "classical": Style(
        (60, 132), 0.1, ("standard",),
        ({"snare": "x.--x.--x.--x.oo", "kick": "x.......x......."}, {"tom_low": "x.......x.....oo", "tambourine": "....o.......o..."}),
        ("strings",), ("r_______5_______", "r_______________"), ("piano", "strings"), ("C_______C_______", "..c...c...c...c."),
        ("flute", "strings", "piano"), ("strings",), ("piano", "harp", "pizzicato"), (2,),
        {"bass": 0.5, "chords": 0.2, "lead": 0.9, "pad": 0.35, "pulse": 1.0}, 0.0, 0.0, (1.2, 2.2), 0.22, minor=0.5),
    "cinematic": Style(
        (70, 132), 0.65, ("power",),
        ({"tom_low": "x..x..x.x..x..x.", "kick": "x.......x......."}, {"tom_low": "x.....x.x...x.x.", "tom_mid": "...o......o.....", "kick": "x..............."},
         {"tom_low": "xx.xx.x.xx.xx.x.", "kick": "x.......x......."}),
        ("strings", "sub_bass"), ("r_______________", "r_r_r_r_r_r_r_r_"), ("brass", "choir", "strings"), ("C_______________", "C_______C_______"),
        ("brass", "strings"), ("choir", "strings"), ("pizzicato", "strings", "piano"), (2, 2, 1),
        {"bass": 1.0, "chords": 0.8, "lead": 0.25, "pad": 0.5, "pulse": 1.0}, 0.0, 0.0, (1.5, 2.8), 0.25, minor=0.8),
    "funk": Style(
        (92, 118), 0.93, ("standard",),
        ({"kick": "x..x..x...x.....", "snare": "....x..-.-..x...", "hat": "x.xxx.xxx.xxx.xx"},
         {"kick": "x.x....x..x..x..", "snare": "....x..-....x.-.", "hat": "xxxxxxxxxxxxxxxx"}),
        ("finger_bass",), ("r..r.8..r.r5..8.", "r.8r..r.5.8...rr", "rr..8.r..r.8r.5."), ("clean_guitar", "organ", "epiano"),
        ("..cc..c...cc.c..", "c..c.cc...cc..c.", ".ccc..c..ccc..c."), ("brass", "sax"), (), ("clean_guitar",), (1,),
        {"bass": 1.0, "chords": 1.0, "lead": 0.6, "pad": 0.0, "pulse": 0.0}, 0.7, 0.08, (0.3, 0.6), 0.08),
    "synthwave": Style(
        (80, 120), 0.93, ("gated",),
        ({"kick": "x...x...x...x...", "snare": "....x.......x...", "hat": "o.o.o.o.o.o.o.o."},
         {"kick": "x.......x.......", "snare": "....x.......x...", "hat": "o.ooo.ooo.ooo.oo", "tom_mid": "..............o."}),
        ("saw_bass",), ("r.r.r.r.r.r.r.r.", "rr8rrr8rrr8rrr8r", "r.8.r.8.r.8.r.8."), ("saw_pad",), ("C_______________",), ("saw_lead", "square"),
        ("saw_pad", "warm_pad"), ("pluck",), (1, 2), {"bass": 1.0, "chords": 0.0, "lead": 0.45, "pad": 1.0, "pulse": 0.6},
        0.1, 0.0, (0.8, 1.6), 0.2, 0.2, minor=0.75),
    "folk": Style(
        (76, 132), 0.35, ("standard",),
        ({"tambourine": "....x.......x...", "kick": "x.......x......."}, {"shaker": "x.o.x.o.x.o.x.o.", "kick": "x.......x.x....."}),
        ("acoustic_bass",), ("r.......5.......", "r...5...r...5..."), ("steel_guitar",), ("c...c.cc..ccc.cc", "C...c.c.C...c.c.", "c...c...c...c.c."),
        ("flute", "harp", "steel_guitar"), ("strings",), ("steel_guitar",), (2, 2, 1),
        {"bass": 0.7, "chords": 0.55, "lead": 0.6, "pad": 0.15, "pulse": 0.6}, 0.0, 0.0, (0.5, 1.0), 0.12, minor=0.35),
}  # fmt: skip

TONES = ("dark", "neutral", "bright")


@dataclass
class Attributes:
    style: str
    bpm: int
    root: int
    mode: str
    drums: bool
    tone: str
    roles: dict[str, str]  # role: instrument
    space: str  # dry, neutral, spacious
    seed: int

    @property
    def key(self) -> str:
        return f"{ROOTS[self.root]} {self.mode}"

    def scale_set(self) -> frozenset[int]:
        return frozenset((self.root + s) % 12 for s in SCALES[self.mode])


def held_out(style: str, root: int, mode: str, bpm: int) -> bool:
    """A tenth of the combinations, never trained on: a fixed hash of style, key and a 12-bpm-wide tempo range."""
    name = f"{style}/{root}/{mode}/{bpm // 12}".encode()
    value = 2166136261
    for byte in name:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    value ^= value >> 15
    return value * 2654435761 % 2**32 < 2**32 // 10


def pick(rng: np.random.Generator, options):
    return options[int(rng.integers(len(options)))]


def draw(seed: int, split: str = "train", **fixed) -> Attributes:
    """Attributes of clip `seed`; the split "test" draws held-out combinations only. Keywords fix attributes."""
    rng = np.random.default_rng((seed, 1))
    while True:
        style = fixed.get("style") or pick(rng, list(STYLES))
        rule = STYLES[style]
        low, high = rule.bpm
        if rng.random() < 0.1:  # a tempo that the style does not expect
            low, high = max(55, low - 25), min(180, high + 25)
        bpm = fixed.get("bpm") or int(rng.integers(low, high + 1))
        root = fixed["root"] if "root" in fixed else int(rng.integers(12))
        mode = fixed.get("mode") or ("minor" if rng.random() < rule.minor else "major")
        if split == "any" or held_out(style, root, mode, bpm) == (split == "test"):
            break
    drums = fixed["drums"] if "drums" in fixed else bool(rng.random() < rule.drums)
    likely = {"dark": (0.5, 0.4, 0.1), "neutral": (0.25, 0.5, 0.25), "bright": (0.1, 0.4, 0.5)}[rule.tone]
    tone = fixed.get("tone") or TONES[int(rng.choice(3, p=likely))]
    roles: dict[str, str] = {}
    without = () if drums else ("stab", "acid_bass")  # struck so hard that they stand for drums
    for role in ("bass", "pad", "chords", "pulse", "lead"):
        options = [i for i in getattr(rule, role) if i not in roles.values() and i not in without]
        if options and rng.random() < rule.roles.get(role, 0):
            roles[role] = pick(rng, options)
    if not drums and "pulse" not in roles and style not in ("jazz", "funk", "house", "rock", "techno", "synthwave", "chiptune"):
        roles["pulse"] = pick(rng, [i for i in rule.pulse if i not in roles.values()] or list(rule.pulse))  # the beat must be heard
    roles.update(fixed.get("roles", {}))
    natural = 0.6 if rule.wet > 0.2 else 0.2
    space = fixed.get("space") or ("spacious" if rng.random() < natural else "dry" if rng.random() < 0.3 else "neutral")
    return Attributes(style, bpm, root, mode, drums, tone, roles, space, seed)


# ---------------------------------------------------------------- score

Note = tuple[float, float, int, float]  # start in steps, length in steps, pitch, gain


def degree_pitch(a: Attributes, degree: int) -> int:
    return a.root + 12 * (degree // 7) + SCALES[a.mode][degree % 7]


def chord_classes(a: Attributes, degree: int, seventh: bool) -> list[int]:
    return [degree_pitch(a, degree + step) % 12 for step in ((0, 2, 4, 6) if seventh else (0, 2, 4))]


def nearest_voicing(classes: list[int], previous: list[int] | None, low: int, high: int) -> list[int]:
    """Close position, every inversion and octave that fits; the one that moves least from the chord before."""
    best, best_cost = None, 1e9
    for turn in range(len(classes)):
        order = classes[turn:] + classes[:turn]
        for octave in range(2, 7):
            pitches = [12 * octave + order[0]]
            for pitch_class in order[1:]:
                pitches.append(pitches[-1] + ((pitch_class - pitches[-1]) % 12 or 12))
            if pitches[0] < low or pitches[-1] > high:
                continue
            centre = abs(np.mean(pitches) - (low + high) / 2) * 0.3
            moved = 0.0 if previous is None else sum(min(abs(p - q) for q in previous) for p in pitches)
            if moved + centre < best_cost:
                best, best_cost = pitches, moved + centre
    return best if best is not None else [low + (c - low) % 12 for c in classes]


def in_register(pitch: int, low: int, high: int) -> int:
    while pitch < low:
        pitch += 12
    while pitch > high:
        pitch -= 12
    return pitch


def held_length(pattern: str, step: int) -> int:
    length = 1
    while step + length < 16 and pattern[step + length] == "_":
        length += 1
    return length


class Score:
    """Everything of a piece that does not depend on where the clip is cut: motifs, patterns, voicings; then its bars."""

    def __init__(self, a: Attributes):
        self.a, self.rule = a, STYLES[a.style]
        rng = np.random.default_rng((a.seed, 2))
        rule = self.rule
        loops = JAZZ_LOOPS if a.style in ("jazz", "lofi") and rng.random() < 0.7 else LOOPS
        self.loop = pick(rng, loops[a.mode])
        self.sevenths = [bool(rng.random() < rule.seventh) for _ in range(4)]
        self.groove = pick(rng, rule.grooves)
        self.bass_pattern = pick(rng, rule.bass_patterns)
        self.chord_pattern = pick(rng, rule.chord_patterns)
        self.pulse_step = pick(rng, rule.pulse_step)
        self.pulse_shape = pick(rng, ("up", "down", "updown", "broken"))
        self.motif = self.make_motif(rng)
        self.intro = int(rng.choice(3, p=(0.75, 0.15, 0.10)))  # bars before everything plays
        self.fill_every = pick(rng, (4, 4, 8))
        self.strum_steps = 0.12 if a.roles.get("chords") in ("steel_guitar", "clean_guitar", "harp") else 0.0
        low, high = (52, 76) if a.style != "rock" else (40, 64)
        voicings, previous = [], None
        for degree, seventh in zip(self.loop, self.sevenths, strict=True):
            previous = nearest_voicing(chord_classes(a, degree, seventh), previous, low, high)
            voicings.append(previous)
        self.voicings = voicings

    def make_motif(self, rng) -> list[list[tuple[int, int, int]]]:
        """Two bars of (step, length, contour); bar three repeats bar one, bar four ends on a long note."""
        fast = self.a.style in ("chiptune", "funk", "jazz", "techno")
        bars = []
        for bar in range(2):
            notes, step, height = [], int(rng.choice((0, 0, 2, 4))), int(rng.integers(-1, 2))
            while step < 16:
                length = int(rng.choice((2, 2, 3, 4, 1) if fast else (2, 4, 4, 6, 8)))
                if rng.random() < 0.8:
                    notes.append((step, min(length, 16 - step), height))
                height = int(np.clip(height + rng.choice((-2, -1, -1, 1, 1, 2, 0)), -4, 5))
                step += length
            bars.append(notes)
        return bars

    def layers(self, bar: int) -> set[str]:
        """Which roles play in a bar: the intro thins out, and every eighth bar drops the drums' top."""
        roles = set(self.a.roles) | ({"drums"} if self.a.drums else set())
        if bar < self.intro:
            keep = {"pad", "pulse"} if {"pad", "pulse"} & roles else {"chords"}
            thin = roles & keep
            return thin | ({"drums"} & roles if self.intro == 1 else set())
        return roles - ({"lead"} if bar < self.intro + 1 and self.a.style != "chiptune" else set())

    def swung(self, step: float) -> float:
        swing, style = self.rule.swing, self.a.style
        if style == "jazz":  # eighths: step 2 of 4 moves to the last triplet
            return step + swing if step % 4 == 2 else step - 1 + swing + 0.0 if step % 4 == 3 else step
        return step + swing if step % 2 == 1 or (style == "lofi" and step % 4 == 2) else step

    def bar(self, bar: int) -> dict[str, list[Note]]:
        """Pitched notes of one bar by role; steps count from the bar's start."""
        a, rule, on = self.a, self.rule, self.layers(bar)
        rng = np.random.default_rng((a.seed, 3, bar))
        place = bar % 4
        voicing, degree, following = self.voicings[place], self.loop[place], self.loop[(place + 1) % 4]
        out: dict[str, list[Note]] = {}
        if "pad" in on:
            out["pad"] = [(0, 16.3, p, 0.55) for p in voicing]
        if "chords" in on:
            notes = []
            pitches = voicing
            if a.style == "rock":  # power chords: root, fifth, octave
                root = in_register(degree_pitch(a, degree), 40, 51)
                fifth = root + (degree_pitch(a, degree + 4) - degree_pitch(a, degree)) % 12
                pitches = [root, fifth, root + 12]
            for step, mark in enumerate(self.chord_pattern):
                if mark in "cC":
                    length = held_length(self.chord_pattern, step) + 0.2 if mark == "C" else 1.2
                    if a.style in ("folk",) or (mark == "C" and length < 2):
                        length = 4.0
                    accent = 1.0 if step % 4 == 0 else 0.82
                    for index, pitch in enumerate(pitches):
                        at = self.swung(step) + index * self.strum_steps
                        notes.append((at, length, pitch, 0.6 * accent * rng.uniform(0.9, 1.05)))
            out["chords"] = notes
        if "pulse" in on:
            ladder = sorted({*voicing, *(p + 12 for p in voicing[:2])})
            order = {
                "up": ladder, "down": ladder[::-1], "updown": ladder + ladder[-2:0:-1],
                "broken": [ladder[0], ladder[2], ladder[1], ladder[2]],
            }[self.pulse_shape]  # fmt: skip
            if a.style == "cinematic":
                order = [voicing[0], voicing[0], voicing[1], voicing[0]] if self.pulse_shape != "up" else [voicing[0]]
            ring = 1.4 if a.roles["pulse"] in ("strings", "pluck", "pulse", "pizzicato") else 3.0
            out["pulse"] = [
                (self.swung(s), self.pulse_step * ring, order[(s // self.pulse_step) % len(order)],
                 (0.85 if s % 4 == 0 else 0.62) * rng.uniform(0.92, 1.05))
                for s in range(0, 16, self.pulse_step)
            ]  # fmt: skip
        if "bass" in on:
            low = 31 if a.roles["bass"] != "strings" else 38
            root = in_register(degree_pitch(a, degree), low, low + 11)
            target = in_register(degree_pitch(a, following), low, low + 11)
            notes = []
            for step, mark in enumerate(self.bass_pattern):
                if mark in "._":
                    continue
                length = held_length(self.bass_pattern, step)
                if mark == "w":  # root, then chord tones, then a scale step beside the next root
                    beat = step // 4
                    pitch = root
                    if beat == 3:
                        pitch = self.beside(target, rng)
                    elif beat:
                        pitch = in_register(degree_pitch(a, degree + int(rng.choice((2, 4, 4, 6)))), low, low + 14)
                    length = 3.6
                else:
                    pitch = {"r": root, "8": root + 12, "5": in_register(degree_pitch(a, degree + 4), low, low + 14)}[mark]
                notes.append((self.swung(step), max(1.0, length - 0.2), pitch, 1.0 if step % 4 == 0 else 0.88))
            out["bass"] = notes
        if "lead" in on:
            out["lead"] = self.melody(place, voicing)
        return out

    def beside(self, target: int, rng) -> int:
        scale = self.a.scale_set()
        steps = [target + d for d in (-2, -1, 1, 2) if (target + d) % 12 in scale]
        return pick(rng, steps)

    def melody(self, place: int, voicing: list[int]) -> list[Note]:
        a = self.a
        scale = sorted(p for p in range(55, 92) if p % 12 in a.scale_set())
        chord = {p % 12 for p in voicing}
        low, high = {"sax": (53, 77), "brass": (55, 79), "dist_guitar": (57, 80)}.get(a.roles["lead"], (64, 86))
        centre = min(range(len(scale)), key=lambda i: abs(scale[i] - (low + high) / 2) + (scale[i] % 12 not in chord))
        motif = self.motif[1 if place == 1 else 0]
        if place == 3:
            motif = [n for n in self.motif[0] if n[0] < 6] + [(8, 8, 0)]
        notes = []
        for step, length, height in motif:
            index = int(np.clip(centre + height, 0, len(scale) - 1))
            pitch = scale[index]
            if step % 8 == 0 or length >= 4:
                pitch = min((p for p in scale if p % 12 in chord), key=lambda p: abs(p - pitch))
            notes.append((self.swung(step), length * 0.95, pitch, 0.95 if step % 4 == 0 else 0.85))
        return notes

    def drum_bar(self, bar: int) -> list[tuple[float, str, float]]:
        if "drums" not in self.layers(bar):
            return []
        rng = np.random.default_rng((self.a.seed, 4, bar))
        gains = {"x": 1.0, "o": 0.65, "-": 0.35}
        fill = bar % self.fill_every == self.fill_every - 1
        hits = []
        for voice, pattern in self.groove.items():
            for step, mark in enumerate(pattern):
                if mark != "." and not (fill and step >= 12 and voice in ("snare", "clap", "hat", "tom_low")):
                    hits.append((self.swung(step), voice, gains[mark] * rng.uniform(0.88, 1.05)))
        if fill:
            voices = {"techno": ("clap", "clap"), "house": ("clap", "snare"), "ambient": ("rim", "rim"), "lofi": ("snare", "rim"),
                      "jazz": ("snare", "tom_mid"), "folk": ("tambourine", "tambourine")}.get(self.a.style, ("snare", "tom_mid", "tom_low"))  # fmt: skip
            for step in (12, 13, 14, 15) if rng.random() < 0.6 else (12, 14):
                hits.append((self.swung(step), voices[(step - 12) * len(voices) // 4], 0.6 + 0.1 * (step - 12)))
        if bar % self.fill_every == 0 and bar > 0 and self.a.style not in ("ambient", "lofi", "techno", "folk"):
            hits.append((0.0, "crash", 0.7))
        return hits


# ---------------------------------------------------------------- sound

GAINS = {"bass": 0.85, "chords": 0.55, "pad": 0.42, "pulse": 0.6, "lead": 0.75, "drums": 0.62}
RELEASE_S = {"piano": 0.15, "warm_pad": 0.5, "saw_pad": 0.3, "strings": 0.25, "choir": 0.35, "harp": 0.5, "bell": 0.6,
             "sub_bass": 0.1, "epiano": 0.15, "steel_guitar": 0.15}  # fmt: skip
DRUM_GAIN = {"ambient": 2.4, "lofi": 1.5, "jazz": 1.8, "folk": 2.8, "classical": 1.6, "cinematic": 1.5, "rock": 1.3, "funk": 1.4}  # quiet kits, clear all the same
INSTRUMENT_GAIN = {"dist_guitar": 0.7, "square": 0.5, "pulse": 0.55, "acid_bass": 0.8, "saw_bass": 0.85, "chip_bass": 0.7, "sub_bass": 1.1}


class Bank:
    def __init__(self, path: str | Path):
        data = np.load(path)
        self.notes = {k[5:]: data[k] for k in data.files if k.startswith("note/")}
        self.low = {k[4:]: int(data[k]) for k in data.files if k.startswith("low/")}
        self.drums: dict[str, dict[str, np.ndarray]] = {}
        for key in data.files:
            if key.startswith("drum/"):
                _, kit, voice = key.split("/")
                self.drums.setdefault(kit, {})[voice] = data[key].astype(np.float32) / 32768

    def note(self, instrument: str, pitch: int, samples: int) -> np.ndarray:
        rows = self.notes[instrument]
        index = pitch - self.low[instrument]
        while index < 0:
            index += 12
        while index >= len(rows):
            index -= 12
        return rows[index, :samples].astype(np.float32) / 32768


@functools.lru_cache(maxsize=64)
def room(tenths: int, size: int) -> np.ndarray:
    """Spectrum of a decaying noise: RT60 of `tenths`/10 s, darker as it decays, 12 ms of pre-delay."""
    seconds = tenths / 10
    rng = np.random.default_rng(tenths)
    time = np.arange(round(min(seconds, 2.5) * RATE_HZ)) / RATE_HZ
    raw = rng.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    b, a = butter(1, 3500, fs=RATE_HZ)
    raw = lfilter(b, a, raw)
    raw /= np.sqrt((raw**2).sum())
    return np.fft.rfft(np.pad(raw, (192, 0)), size).astype(np.complex64)


@functools.lru_cache(maxsize=8)
def tone_filter(tone: str) -> np.ndarray:
    if tone == "dark":
        return butter(2, 1300, fs=RATE_HZ, output="sos")
    if tone == "dark drums":
        return butter(1, 2200, fs=RATE_HZ, output="sos")
    if tone == "neutral":
        return butter(1, 4500, fs=RATE_HZ, output="sos")
    return butter(1, 2500, "high", fs=RATE_HZ, output="sos")


def render(a: Attributes, bank: Bank, seconds: float, start_bar: float = 0.0, played: list | None = None) -> np.ndarray:
    """The piece from `start_bar` on. Notes that began earlier still ring. `played` receives (role, pitch or drum voice, first
    sample, samples) of every note."""
    score, rule = Score(a), STYLES[a.style]
    rng = np.random.default_rng((a.seed, 5))
    step_s = 60 / a.bpm / 4
    origin = start_bar * 16 * step_s
    total = round(seconds * RATE_HZ)
    buses = {role: np.zeros(total, np.float32) for role in (*a.roles, "drums")}
    kit = bank.drums[pick(rng, rule.kits)]
    first = max(0, int(start_bar) - 2)
    last = int(start_bar + seconds / (16 * step_s)) + 1
    kicks: list[int] = []

    def add(bus: np.ndarray, sound: np.ndarray, at: int) -> None:
        if at < 0:
            sound, at = sound[-at:], 0
        sound = sound[: max(0, total - at)]
        if len(sound):
            bus[at : at + len(sound)] += sound

    for bar in range(first, last + 1):
        bar_start = bar * 16 * step_s - origin
        for role, notes in score.bar(bar).items():
            instrument = a.roles[role]
            release = RELEASE_S.get(instrument, 0.06)
            late_s = 0.0 if instrument in ("pulse", "square", "chip_bass", "acid_bass", "pluck", "stab") else 0.004
            for step, length, pitch, gain in notes:
                at = round((bar_start + step * step_s + late_s * rng.standard_normal()) * RATE_HZ)
                held = round(length * step_s * RATE_HZ)
                tail = round(release * RATE_HZ)
                if at >= total or at + held + tail <= 0:
                    continue
                if played is not None:
                    played.append((role, pitch, at, held))
                sound = bank.note(instrument, pitch, held + tail)
                if len(sound) > held:
                    sound[held:] *= np.linspace(1, 0, tail, dtype=np.float32)[: len(sound) - held] ** 2
                else:
                    sound[-160:] *= np.linspace(1, 0, 160, dtype=np.float32)
                add(buses[role], sound * np.float32(gain * INSTRUMENT_GAIN.get(instrument, 1.0)), at)
        for step, voice, gain in score.drum_bar(bar):
            at = round((bar_start + step * step_s) * RATE_HZ)
            if played is not None:
                played.append(("drums", voice, at, 640))
            if voice == "kick":
                kicks.append(at)
            level = {"hat": 0.7, "open": 0.6, "ride": 0.75, "shaker": 0.7, "pedal": 0.7, "crash": 0.6, "tambourine": 0.8}.get(voice, 1.0)
            add(buses["drums"], kit[voice] * np.float32(gain * level), at)

    if rule.pump and a.drums and kicks:  # the kick ducks what sustains
        duck = np.ones(total, np.float32)
        dip = (1 - rule.pump * np.exp(-np.arange(round(0.25 * RATE_HZ)) / (0.09 * RATE_HZ))).astype(np.float32)
        for at in kicks:
            begin, end = max(at, 0), min(at + len(dip), total)
            if end > begin:
                duck[begin:end] = np.minimum(duck[begin:end], dip[begin - at : end - at])
        for role in ("pad", "bass", "chords", "pulse"):
            if role in buses:
                buses[role] *= duck
    dry = np.zeros(total, np.float32)
    send = np.zeros(total, np.float32)
    beat = np.zeros(total, np.float32)  # the drums' dry part: a dark mix keeps more of their top
    for role, bus in buses.items():
        bus *= GAINS[role] * (DRUM_GAIN.get(a.style, 1.0) if role == "drums" else 1.0)
        if role == "drums":
            beat += bus
        else:
            dry += bus
        send += bus * {"bass": 0.1, "drums": 0.35}.get(role, 1.0)
    wet = {"dry": 0.25, "neutral": 1.0, "spacious": 2.0}[a.space] * rule.wet
    if wet > 0.01:
        low, high = rule.reverb_s
        tenths = round(10 * min(3.5, rng.uniform(low, high) * {"dry": 0.6, "neutral": 1.0, "spacious": 1.4}[a.space]))
        size = 1 << int(np.ceil(np.log2(total + 2.5 * RATE_HZ)))
        tail = np.fft.irfft(np.fft.rfft(send, size).astype(np.complex64) * room(max(2, tenths), size), size)[:total]
        dry = dry + np.float32(wet) * tail.astype(np.float32)
    if a.tone == "bright":
        dry = dry + beat + 1.6 * sosfilt(tone_filter("bright"), dry + 0.5 * beat).astype(np.float32)
    elif a.tone == "dark":
        dry = (sosfilt(tone_filter("dark"), dry) + sosfilt(tone_filter("dark drums"), beat)).astype(np.float32)
    else:
        dry = sosfilt(tone_filter("neutral"), dry + beat).astype(np.float32)
    level = np.sqrt((dry**2).mean()) + 1e-9
    dry = np.tanh(dry * (0.13 / level) * 1.1) / 1.1
    return (dry * min(1.0, 0.95 / np.abs(dry).max())).astype(np.float32)


def clip(seed: int, bank: Bank, seconds: float = 10.0, split: str = "train", played: list | None = None, **fixed):
    """Attributes, sound and the start in bars: seven of ten clips begin with the piece, the others in its first sixteen bars."""
    a = draw(seed, split, **fixed)
    rng = np.random.default_rng((seed, 6))
    start = 0.0 if rng.random() < 0.7 else float(rng.uniform(1, 16))
    return a, render(a, bank, seconds, start, played), start


if __name__ == "__main__":
    from scipy.io import wavfile

    from captions import caption

    bank, out = Bank(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for seed in range(int(sys.argv[3]), int(sys.argv[4])):
        attributes, audio, _ = clip(seed, bank)
        text = caption(attributes, np.random.default_rng(seed))
        wavfile.write(out / f"{seed}.wav", RATE_HZ, (audio * 32767).astype(np.int16))
        (out / f"{seed}.json").write_text(json.dumps({**asdict(attributes), "caption": text}, indent=1))
        print(seed, attributes.style, attributes.bpm, attributes.key, "|", text)
