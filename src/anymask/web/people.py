"""Who is asking: one person with the link from the terminal, or people with accounts."""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Protocol

from starlette.datastructures import Headers

from anymask.errors import StorageError, mapped
from anymask.store.users import User

ME = User(0, "me", "admin", False, 0.0)


class People(Protocol):
    """`mode`: single or team. `cookie`: its name."""

    mode: str
    cookie: str

    async def who(self, headers: Headers) -> User | None: ...


def secret_of(headers: Headers, cookie: str) -> str | None:
    """From the cookie, or from `Authorization: Bearer ...`."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        return bearer.strip()
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == cookie and value:
            return value
    return None


class OnePerson:
    """Whoever opened the link that the terminal showed. Other users of the machine do not know it.

    The cookie holds another secret than the link, so a link that was seen later does not tell it; its name
    has the port, as browsers share cookies between ports.
    """

    mode = "single"

    def __init__(self, port: int, token: str | None = None, session: str | None = None) -> None:
        self.cookie = f"anymask_session_{port}"
        self.token = token or secrets.token_urlsafe(24)
        self.session = session or secrets.token_urlsafe(24)

    @classmethod
    def kept(cls, port: int, path: Path) -> OnePerson:
        """With secrets of a file that only its owner can read, so that a page survives a restart.

        Raises StorageError.
        """
        with mapped(OSError, StorageError, f"cannot keep secrets in {path}"):
            with contextlib.suppress(FileExistsError):
                number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with open(number, "w", encoding="ascii") as file:
                    file.write(f"{secrets.token_urlsafe(24)}\n{secrets.token_urlsafe(24)}\n")
            path.chmod(0o600)
            found = path.read_text("ascii").split()
        if len(found) != 2 or min(map(len, found)) < 24:
            path.unlink()
            return cls.kept(port, path)
        return cls(port, *found)

    async def who(self, headers: Headers) -> User | None:
        given = secret_of(headers, self.cookie) or ""
        return ME if self.knows(given) or _same(given, self.session) else None

    def knows(self, token: str) -> bool:
        """The token of the link."""
        return _same(token, self.token)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
