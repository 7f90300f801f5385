"""Who is signed in, signing in and out, invitations."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from anymask.store import sessions
from anymask.store.users import User, find_user
from anymask.web.accounts import Accounts
from anymask.web.errors import Refused
from anymask.web.people import People, secret_of
from anymask.web.schemas import AcceptingInvitation, SignIn
from anymask.web.security import API
from anymask.web.studio import Studio, studio_of

SSO_S = 600  # that somebody may be at the provider
router = APIRouter()
TheStudio = Annotated[Studio, Depends(studio_of)]
Told = Annotated[str, Query(max_length=2_000)]


@router.get("/session")
def session(request: Request, studio: TheStudio) -> dict[str, Any]:
    """Who the server takes you for; also for who has not signed in."""
    return session_told(studio.people, request.state.user)


@router.post("/session")
async def sign_in(asked: SignIn, request: Request, response: Response, studio: TheStudio) -> dict[str, Any]:
    """With name and password; a new session each time."""
    accounts = accounts_of(studio)
    secret = await accounts.sign_in(asked.name, asked.password, address_of(request))
    _set_cookie(response, accounts, secret)
    user = await run_in_threadpool(find_user, studio.project.database, asked.name)
    return session_told(accounts, user)


@router.delete("/session", status_code=204)
def sign_out(request: Request, response: Response, studio: TheStudio) -> None:
    """The session is over, here and everywhere it was copied to."""
    accounts = accounts_of(studio)
    secret = secret_of(request.headers, accounts.cookie)
    if secret is not None:
        sessions.end(studio.project.database, secret)
        accounts.forget()
    response.delete_cookie(accounts.cookie, path="/", secure=accounts.secure, httponly=True, samesite="lax")


@router.get("/sso", status_code=303, response_class=RedirectResponse)
async def begin_sso(request: Request, studio: TheStudio) -> RedirectResponse:
    """To the provider of single sign-on, and back to the callback."""
    accounts = accounts_of(studio)
    place, secret = await accounts.begin_sso(address_of(request))
    answer = RedirectResponse(place, 303)
    _set_cookie(answer, accounts, secret, accounts.sso_cookie, SSO_S)
    return answer


@router.get("/sso/callback", status_code=303, response_class=RedirectResponse)
async def finish_sso(
    request: Request, studio: TheStudio, state: Told = "", code: Told = ""
) -> RedirectResponse:
    """Where the provider sends the browser back to."""
    accounts = accounts_of(studio)
    secret = request.cookies.get(accounts.sso_cookie, "")
    session = await accounts.finish_sso(secret, state, code, address_of(request))
    answer = RedirectResponse("/", 303)
    _set_cookie(answer, accounts, session)
    answer.delete_cookie(accounts.sso_cookie, path="/", secure=accounts.secure, httponly=True, samesite="lax")
    return answer


@router.post("/invitations/accept")
async def accept(
    asked: AcceptingInvitation, request: Request, response: Response, studio: TheStudio
) -> dict[str, Any]:
    """Choose a password and be signed in."""
    accounts = accounts_of(studio)
    secret, user = await accounts.accept(asked.code, asked.password, address_of(request))
    _set_cookie(response, accounts, secret)
    return session_told(accounts, user)


def accounts_of(studio: Studio) -> Accounts:
    """Refused where there are none."""
    if not isinstance(studio.people, Accounts):
        raise Refused(404, "this studio has no accounts: start it with --team")
    return studio.people


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""


def _set_cookie(
    response: Response, accounts: Accounts, secret: str, name: str | None = None, seconds: int | None = None
) -> None:
    response.set_cookie(
        name or accounts.cookie,
        secret,
        max_age=seconds,
        httponly=True,
        samesite="lax",
        secure=accounts.secure,
        path="/",
    )


def session_told(people: People, user: User | None) -> dict[str, Any]:
    told = None if user is None else {"name": user.name, "role": user.role}
    sso = {"sso": f"{API}/sso"} if isinstance(people, Accounts) and people.sso else {}
    return {"mode": people.mode, "user": told, **sso}
