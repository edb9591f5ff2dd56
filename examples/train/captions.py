"""Words for a clip: templates, synonyms, left-out attributes, numeric and verbal tempo, negations.

Sources: none; the phrases are ours. A fixed part of the templates and synonyms is never used in training (split "test"), so
that the evaluation can ask in words the model has not read in that order.
"""

from __future__ import annotations

import numpy as np
from music import ROOTS, Attributes

STYLE_WORDS = {
    "ambient": ("ambient", "ambient music", "an ambient soundscape", "atmospheric ambient", "new age", "a soundscape", "drifting ambient"),
    "techno": ("techno", "a techno track", "driving techno", "club techno", "rave", "trance", "minimal techno"),
    "house": ("house", "house music", "a house groove", "deep house", "garage house", "dance music", "dance house"),
    "lofi": ("lo-fi hip hop", "lofi", "lo-fi", "chillhop", "a lofi beat", "hip hop", "downtempo", "trip hop", "lo-fi study beats"),
    "jazz": ("jazz", "a jazz combo", "swing jazz", "a jazz trio", "bebop", "smooth jazz", "big band", "swinging jazz"),
    "rock": ("rock", "a rock band", "hard rock", "rock music", "metal", "punk rock", "indie rock", "guitar rock"),
    "chiptune": ("chiptune", "8-bit music", "a chiptune", "retro game music", "8-bit", "arcade music", "pixel game", "video game chiptune"),
    "classical": ("classical", "classical music", "chamber music", "a classical piece", "baroque", "orchestra", "classical chamber"),
    "cinematic": ("cinematic", "film music", "an epic score", "orchestral film score", "cinematic orchestral", "soundtrack", "orchestral", "battle music", "trailer music", "epic film score"),
    "funk": ("funk", "a funk groove", "funky music", "funk band", "disco", "soul", "seventies funk"),
    "synthwave": ("synthwave", "retro synthwave", "eighties synthwave", "80s synth pop", "retrowave", "synth pop", "outrun synthwave"),
    "folk": ("folk", "acoustic folk", "a folk song", "folk music", "country", "acoustic ballad", "campfire folk"),
}
INSTRUMENT_WORDS = {
    "piano": ("piano", "grand piano", "acoustic piano"), "epiano": ("electric piano", "rhodes", "e-piano"),
    "organ": ("organ", "hammond organ"), "steel_guitar": ("acoustic guitar", "steel-string guitar"),
    "clean_guitar": ("clean guitar", "clean electric guitar"), "dist_guitar": ("distorted guitar", "electric guitar", "overdriven guitar"),
    "acoustic_bass": ("double bass", "upright bass", "acoustic bass"), "finger_bass": ("bass guitar", "electric bass"),
    "harp": ("harp",), "strings": ("strings", "string section", "string ensemble"), "pizzicato": ("pizzicato strings", "plucked strings"),
    "choir": ("choir", "voices"), "brass": ("brass", "brass section", "horns"), "sax": ("saxophone", "sax", "tenor sax"), "flute": ("flute",),
    "warm_pad": ("warm pad", "soft pad", "synth pad"), "saw_pad": ("synth pad", "saw pad", "lush synth pad"),
    "saw_lead": ("synth lead", "lead synth", "saw lead"), "stab": ("synth stabs", "chord stabs"), "pluck": ("plucked synth", "synth arpeggio", "synth plucks"),
    "bell": ("bells", "glassy bells", "fm bells"), "square": ("square lead", "square wave lead"), "pulse": ("pulse arpeggio", "bleeps"),
    "chip_bass": ("square bass", "8-bit bass"), "saw_bass": ("synth bass", "saw bass"), "acid_bass": ("acid bass", "squelchy bass", "303 bass"),
    "sub_bass": ("sub bass", "deep bass"),
}  # fmt: skip
TONE_WORDS = {
    "dark": ("dark", "muffled", "mellow", "dull", "shadowy", "deep and dark", "warm and dark"),
    "bright": ("bright", "crisp", "brilliant", "sparkling", "shiny", "clear and bright", "very bright"),
}
SPACE_WORDS = {"dry": ("dry", "close", "intimate"), "spacious": ("spacious", "with long reverb", "reverberant", "roomy", "in a big hall", "with much reverb")}
MOOD_WORDS = {"major": ("happy", "cheerful", "uplifting", "joyful", "sunny"), "minor": ("sad", "melancholic", "moody", "gloomy", "serious")}
TEMPO_WORDS = (
    (72, ("very slow", "extremely slow", "largo")), (92, ("slow", "slow tempo", "relaxed tempo", "adagio")),
    (112, ("medium tempo", "mid-tempo", "moderate tempo", "walking pace", "andante")),
    (138, ("upbeat", "lively", "brisk", "allegro")), (150, ("fast", "quick", "fast tempo", "energetic")),
    (999, ("very fast", "extremely fast", "presto", "furious")),
)  # fmt: skip
NO_DRUMS = ("no drums", "without drums", "drumless", "without percussion", "no percussion", "no beat", "with no drums")
DRUMS = ("drums", "with drums", "with a drum beat", "a drum kit", "with percussion", "with a beat", "percussion", "drums and percussion")
# words that say nothing the grammar knows: to be read over
FILLERS = ("please make", "i want", "a nice piece of", "some", "for studying", "background music", "for a video", "instrumental", "a beautiful",
           "for my game", "generate", "something like", "music", "a song", "a track", "for the morning", "at night", "calm", "high quality")  # fmt: skip
SHARP_NAMES = {"C#": ("C#", "C sharp", "Db", "D flat"), "Eb": ("Eb", "E flat", "D#", "D sharp"), "F#": ("F#", "F sharp", "Gb", "G flat"),
               "Ab": ("Ab", "A flat", "G#", "G sharp"), "Bb": ("Bb", "B flat", "A#", "A sharp")}  # fmt: skip
ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen "
        "nineteen").split()  # fmt: skip
TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def number_words(n: int) -> str:
    if n >= 100:
        return f"one hundred{' and ' + number_words(n - 100) if n > 100 else ''}"
    return ONES[n] if n < 20 else TENS[n // 10] + (f"-{ONES[n % 10]}" if n % 10 else "")


def choose(rng: np.random.Generator, words: tuple[str, ...], split: str) -> str:
    """The last of four or more synonyms is kept for the test."""
    if len(words) >= 4:
        words = words[-1:] if split == "test" and rng.random() < 0.5 else words[:-1]
    # the plainest word is the most frequent one
    return words[0] if rng.random() < 0.4 else words[int(rng.integers(len(words)))]


def tempo_word(bpm: int) -> tuple[str, ...]:
    return next(words for limit, words in TEMPO_WORDS if bpm < limit)


def key_words(a: Attributes, rng: np.random.Generator) -> str:
    root = ROOTS[a.root]
    names = SHARP_NAMES.get(root, (root,))
    return f"{names[int(rng.integers(len(names)))]} {a.mode}"


def caption(a: Attributes, rng: np.random.Generator, split: str = "train", full: bool = False) -> str:
    """`full` names style, tempo, key, drums and tone whatever the dice say: the evaluation's prompts."""
    if not full and rng.random() < 0.03:
        return ""
    keep = (lambda p: True) if full else (lambda p: rng.random() < p)
    style = choose(rng, STYLE_WORDS[a.style], split)
    bpm = ""
    if keep(0.85):
        say = rng.random()
        if full or say < 0.70:
            forms = (f"{a.bpm} bpm", f"{a.bpm} BPM", f"at {a.bpm} bpm", f"{a.bpm} beats per minute", f"tempo {a.bpm}", f"{a.bpm}bpm")
            bpm = choose(rng, forms, split)
        elif say < 0.78:
            bpm = f"{number_words(a.bpm)} bpm"
        if not bpm or rng.random() < 0.35:
            word = choose(rng, tempo_word(a.bpm), split)
            bpm = f"{word}, {bpm}" if bpm else word
    key = ""
    if keep(0.8):
        key = choose(rng, ("in {}", "{}", "key of {}", "in the key of {}"), split).format(key_words(a, rng))
    mood = choose(rng, MOOD_WORDS[a.mode], split) if (not full and rng.random() < 0.25) else ""
    tone = choose(rng, TONE_WORDS[a.tone], split) if a.tone in TONE_WORDS and keep(0.75) else ""
    space = choose(rng, SPACE_WORDS[a.space], split) if a.space in SPACE_WORDS and rng.random() < 0.4 else ""
    drums = ""
    if keep(0.65 if a.drums else 0.85):
        drums = choose(rng, DRUMS if a.drums else NO_DRUMS, split)
    names = list(dict.fromkeys(choose(rng, INSTRUMENT_WORDS[i], split) for i in a.roles.values()))
    rng.shuffle(names)
    names = names[: int(rng.integers(0, len(names) + 1))] if rng.random() < 0.75 else []
    listing = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] if names else ""
    form = int(rng.integers(5)) if split == "train" else int(rng.integers(5, 8))
    bare = style.removeprefix("a ").removeprefix("an ")
    if form == 0:  # adjectives before the style, the rest with commas
        front = " ".join(w for w in (mood, tone, bare) if w)
        with_words = f"with {listing}" if listing else ""
        rest = [w for w in (key, with_words, space, drums, bpm) if w]
        rng.shuffle(rest)
        text = ", ".join([front, *rest])
    elif form == 1:  # a list of tags
        tags = [w for w in (bare, bpm, key.removeprefix("in "), mood, tone, space, drums.removeprefix("with "), *names) if w]
        rng.shuffle(tags)
        text = ", ".join(tags)
    elif form == 2:  # a sentence
        text = " ".join(w for w in ("A" if (mood or tone or bare)[0] not in "aeiou8" else "An", mood, tone, bare, "piece") if w)
        text += f" {key}" if key.startswith("in") else f" in {key.removeprefix('key of ')}" if key else ""
        text += f" with {listing}" if listing else ""
        text += f" {drums}" if drums in NO_DRUMS[1:2] else f", {drums}" if drums else ""
        text += f", {bpm}" if bpm else ""
        text += f", {space}" if space else ""
        text += "."
    elif form == 3:  # tempo first
        text = ", ".join(w for w in (bpm, " ".join(w for w in (tone, bare) if w), listing, drums, key, mood, space) if w)
    elif form == 4:  # key first
        text = ", ".join(w for w in (key, bpm, " ".join(w for w in (mood, bare) if w), drums, tone, listing, space) if w)
    elif form == 5:
        text = f"Please play {' '.join(w for w in (tone, mood, bare) if w)}"
        text += f" {key}" if key.startswith("in") else f", {key}" if key else ""
        text += f", {bpm}" if bpm else ""
        text += f"; {drums}" if drums else ""
        text += f", featuring {listing}" if listing else ""
        text += f", {space}" if space else ""
    elif form == 6:
        text = f"{bare}: " + ", ".join(w for w in (drums, tone, bpm, listing, mood, key, space) if w)
    else:
        text = " / ".join(w for w in (key, drums, bare, listing, bpm, tone, space, mood) if w)
    if split == "train" and rng.random() < 0.2:
        filler = FILLERS[int(rng.integers(len(FILLERS)))]
        text = f"{filler} {text}" if rng.random() < 0.6 else f"{text} {filler}"
    if rng.random() < 0.3:
        text = text.lower()
    return text
