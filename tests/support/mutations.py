"""Damage to files: one way of many, picked by a seed, the same every time."""

from __future__ import annotations

import random

INTERESTING = (
    b"", b"\x00", b"\xff\xfe", b"\x80", b"\n", b"\r\n", b"-", b"1e999", b"nan", b"null", b"[]", b"{}", b'"',
    b"99999999999999999999", b"-1", b"0.0000000001", b"\xed\xa0\x80", b"[" * 3000, b"{", b"}", b"<", b": ",
    b"\\ud800",
)  # fmt: skip


def mutated(content: bytes, seed: int) -> bytes:
    """`content` with one to three damages: bits, cuts, repeats, noise, what parsers stumble over."""
    rng = random.Random(seed)
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = _damaged(content, rng)
    return content


def _damaged(content: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    length = rng.choice((1, 1, 2, 7, 40))
    match rng.randrange(7):
        case 0 if at < len(content):
            return content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
        case 1:
            return content[:at]
        case 2:
            return content[:at] + content[at + length :]
        case 3:
            return content[:at] + content[at : at + length] * rng.choice((2, 30)) + content[at:]
        case 4:
            return content[:at] + rng.randbytes(length) + content[at:]
        case 5:
            other = rng.randrange(len(content) + 1)
            return content[:at] + content[other : other + length] + content[at + length :]
        case _:
            return content[:at] + rng.choice(INTERESTING) + content[at + rng.choice((0, length)) :]
