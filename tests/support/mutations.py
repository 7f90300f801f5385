"""Files with bytes changed at random, the same for the same seed."""

from __future__ import annotations

import random


def mutated(content: bytes, seed: int) -> bytes:
    """A few bytes replaced, removed, doubled or swapped; sometimes the end cut off."""
    chance, found = random.Random(seed), bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at, length = chance.randrange(len(found) + 1), chance.choice((1, 1, 2, 8, 64))
        match chance.randrange(6):
            case 0:
                found[at : at + length] = chance.randbytes(length)
            case 1:
                del found[at : at + length]
            case 2:
                found[at:at] = found[at : at + length]
            case 3:
                found[at:at] = chance.choice(
                    (b"-1", b"1e999", b"NaN", b'"', b"[", b"}", b"<", b"0", b"99999999999")
                )
            case 4:
                other = chance.randrange(len(found) + 1)
                found[at:at] = found[other : other + length]
            case 5 if chance.random() < 0.3:
                del found[at:]
        if not found:
            break
    return bytes(found)
