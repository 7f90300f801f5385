"""Who is asking: one person with the link from the terminal, or people with accounts."""

from __future__ import annotations

import hmac
import secrets
from typing import Protocol

from starlette.datastructures import Headers

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

    def __init__(self, port: int, token: str | None = None) -> None:
        self.cookie = f"anymask_session_{port}"
        self.token = token or secrets.token_urlsafe(24)
        self.session = secrets.token_urlsafe(24)

    async def who(self, headers: Headers) -> User | None:
        given = secret_of(headers, self.cookie) or ""
        return ME if self.knows(given) or _same(given, self.session) else None

    def knows(self, token: str) -> bool:
        """The token of the link."""
        return _same(token, self.token)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
