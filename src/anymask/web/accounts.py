"""Accounts: people who sign in with a name and a password, and programs with tokens."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from anymask.engine.project import Project
from anymask.store import sessions, users
from anymask.store.users import User
from anymask.web.cache import BytesCache
from anymask.web.errors import Refused
from anymask.web.people import secret_of
from anymask.web.rates import FROM_ADDRESS, SIGN_INS, Rates

if TYPE_CHECKING:
    from anymask.web.sso import SingleSignOn

KNOWN_S = 5.0  # for which a session is not looked up again
KNOWN = 10_000
FIRST_ADMIN = "admin"
MAX_SECRET = 200


class Accounts:
    """The people of a project. `secure`: pages come by TLS, so cookies must, too. `sso`: where they may also
    sign in.
    """

    mode = "team"

    def __init__(
        self,
        project: Project,
        *,
        secure: bool,
        hasher: PasswordHasher | None = None,
        sso: SingleSignOn | None = None,
    ) -> None:
        self.database = project.database
        self.sso = sso
        self.sso_cookie = "__Host-anymask_sso" if secure else "anymask_sso"
        self.secure = secure
        self.cookie = "__Host-anymask_session" if secure else "anymask_session"
        self.rates = Rates()
        self._hasher = hasher or PasswordHasher()
        self._pool = ThreadPoolExecutor(1, "anymask-passwords")  # each hash takes 64 MB and all of a core
        self._nobody = self._hasher.hash("of nobody: who is not known takes as long")
        self._known: BytesCache[str, tuple[User, float]] = BytesCache(KNOWN)
        self._gate = threading.Lock()

    async def who(self, headers: Headers) -> User | None:
        secret = secret_of(headers, self.cookie)
        if secret is None or len(secret) > MAX_SECRET:
            return None
        kept = self._known.get(secret)
        if kept is not None and self.database.clock() - kept[1] < KNOWN_S:
            return kept[0]
        user = await run_in_threadpool(sessions.user_of, self.database, secret)
        if user is not None:
            self._known.put(secret, (user, self.database.clock()), 1)
        return user

    def forget(self) -> None:
        """Somebody's role or sessions have changed."""
        self._known.clear()

    async def sign_in(self, name: str, password: str, address: str) -> str:
        """A new session. Raises Refused: 429 when tried too often, 401 for a wrong name or password."""
        self._check_rates(address, name)
        kept = await run_in_threadpool(sessions.password_hash_of, self.database, name)
        right = await self._in_pool(_verified, self._hasher, kept or self._nobody, password)
        if kept is None or not right:
            raise Refused(401, "this name and password do not belong together", "wrong_password")
        return await run_in_threadpool(sessions.begin, self.database, name, "session")

    async def accept(self, code: str, password: str, address: str) -> tuple[str, User]:
        """An invitation becomes a password and a session. Raises Refused for one that is over."""
        self._check_rates(address)
        user = await run_in_threadpool(sessions.user_of, self.database, code, ("invite",))
        if user is None:
            raise Refused(401, "this invitation is over: ask for another one", "wrong_invitation")
        hashed = await self._in_pool(self._hasher.hash, password)
        await run_in_threadpool(sessions.set_password, self.database, user.name, hashed)
        self.forget()
        return await run_in_threadpool(sessions.begin, self.database, user.name, "session"), user

    async def begin_sso(self, address: str) -> tuple[str, str]:
        """Where to send the browser, and a secret for its cookie. Raises Refused, 404 without it."""
        sso = self._single_sign_on(address)
        return await run_in_threadpool(sso.begin)

    async def finish_sso(self, secret: str, state: str, code: str, address: str) -> str:
        """A session of who was invited under the address that the provider vouches for. Raises Refused."""
        sso = self._single_sign_on(address)
        email = await run_in_threadpool(sso.finish, secret, state, code)
        found = await run_in_threadpool(users.list_users, self.database)
        own = [one.name for one in found if one.name.casefold() == email.casefold() and not one.disabled]
        if len(own) != 1:
            raise Refused(403, f"{email} was not invited to this project: ask its manager", "sso_failed")
        return await run_in_threadpool(sessions.begin, self.database, own[0], "session")

    def _single_sign_on(self, address: str) -> SingleSignOn:
        if self.sso is None:
            raise Refused(404, "this studio has no single sign-on: set ANYMASK_SSO_ISSUER")
        self._check_rates(address)
        return self.sso

    def _check_rates(self, address: str, name: str | None = None) -> None:
        waits = [self.rates.take_of(f"address {address}", FROM_ADDRESS)]
        if name is not None:
            waits.append(self.rates.take_of(f"name {name}", SIGN_INS))
        if max(waits) > 0:
            headers = {"Retry-After": str(max(1, round(max(waits))))}
            raise Refused(429, "tried too often: wait a moment", headers=headers)

    async def _in_pool(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)


def _verified(hasher: PasswordHasher, kept: str, password: str) -> bool:
    try:
        return hasher.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False


def invitation(project: Project, name: str, role: str, author: str) -> str:
    """A code with which somebody chooses their password; for a new person, or one who forgot it."""
    if name not in {one.name for one in users.list_users(project.database)}:
        users.add_user(project.database, name, role, author=author)
    return sessions.begin(project.database, name, "invite")


def first_invitation(project: Project) -> str | None:
    """For a project in which nobody can sign in as admin yet."""
    admins = [one for one in users.list_users(project.database) if one.role == "admin" and not one.disabled]
    if any(sessions.password_hash_of(project.database, one.name) for one in admins):
        return None
    return invitation(project, admins[0].name if admins else FIRST_ADMIN, "admin", "project")
