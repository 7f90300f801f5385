"""What people type, made comparable: one form of each letter, no invisible characters, a bounded length."""

from __future__ import annotations

import unicodedata

from anymask.errors import BadPrompt

MAX_LENGTH = 200  # characters of a phrase
QUOTED = 40  # characters of it that a message repeats
JOINER = "\u200d"  # holds the parts of an emoji together
QUOTES = dict.fromkeys(map(ord, "‘’‛`´"), "'") | dict.fromkeys(map(ord, "“”„«»"), '"')
DASHES = dict.fromkeys(map(ord, "‐‑‒–—−"), "-")


def clean(text: str) -> str:
    """Lower case, composed letters, narrow forms of wide ones, single spaces.

    Raises BadPrompt for a text that is empty, longer than 200 characters or holds control characters.
    """
    if not isinstance(text, str):
        raise BadPrompt(f"expected a phrase, got {type(text).__name__}")
    if len(text) > MAX_LENGTH:
        raise BadPrompt(f"a phrase has at most {MAX_LENGTH} characters, got {len(text)}")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn") and character not in "\t\n\r":
            raise BadPrompt(f"the phrase holds a control character (U+{ord(character):04X}); expected words")
    composed = unicodedata.normalize("NFKC", text).translate(QUOTES | DASHES)
    visible = "".join(c for c in composed if c == JOINER or not _is_invisible(c))
    words = " ".join(visible.casefold().split()).strip(" .,;:!?\"'·…。、")
    words = unicodedata.normalize("NFC", words)
    if not words:
        raise BadPrompt('the phrase is empty; expected a noun such as "dog" or "red car"')
    return words


def _is_invisible(character: str) -> bool:
    """Formats (zero width, directions), variation selectors and skin tones of emoji."""
    code = ord(character)
    return unicodedata.category(character) == "Cf" or 0xFE00 <= code <= 0xFE0F or 0x1F3FB <= code <= 0x1F3FF


def quoted(text: str) -> str:
    """A text for a message, shortened."""
    return f'"{text if len(text) <= QUOTED else text[: QUOTED - 1] + "…"}"'


def foreign_script(text: str) -> str | None:
    """The script of the first letter that is neither Latin nor Hangul, as in "Cyrillic"; None without one."""
    for character in text:
        if character.isalpha():
            script = unicodedata.name(character, "unknown").split()[0]
            if script not in ("LATIN", "HANGUL"):
                return script.capitalize() if script != "CJK" else "Chinese characters"
    return None
