"""People of a team: roles, invitations, tokens of programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path

from anymask.store import sessions, users
from anymask.store.users import User
from anymask.web.accounts import invitation
from anymask.web.routes_session import accounts_of
from anymask.web.schemas import Inviting, Name, NewToken, UserChange
from anymask.web.studio import Studio, studio_of, user_of

router = APIRouter()
TheStudio = Annotated[Studio, Depends(studio_of)]
Me = Annotated[User, Depends(user_of)]
TokenId = Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]
UserName = Annotated[Name, Path()]


@router.get("/users")
def list_users(studio: TheStudio) -> dict[str, Any]:
    """In the order they came."""
    accounts_of(studio)
    return {"users": [_told(one) for one in users.list_users(studio.project.database)]}


@router.patch("/users/{name}")
def change_user(name: UserName, change: UserChange, studio: TheStudio, me: Me) -> dict[str, Any]:
    """Another role; shut out, or let in again."""
    accounts = accounts_of(studio)
    user = users.find_user(studio.project.database, name)
    if change.role is not None:
        user = users.set_role(studio.project.database, name, change.role, author=me.name)
    if change.active is not None:
        user = users.disable(studio.project.database, name, not change.active, author=me.name)
    accounts.forget()
    return _told(user)


@router.post("/invitations")
def invite(asked: Inviting, studio: TheStudio, me: Me) -> dict[str, Any]:
    """For somebody new, or who forgot the password. The code is shown once."""
    accounts_of(studio)
    code = invitation(studio.project, asked.name, asked.role, me.name)
    expires = studio.project.database.clock() + sessions.IDLE_S["invite"]
    return {"code": code, "path": f"/invitation?code={code}", "expires": expires}


@router.get("/tokens")
def tokens(studio: TheStudio, me: Me) -> dict[str, Any]:
    """One's own."""
    accounts_of(studio)
    return {"tokens": [asdict(one) for one in sessions.list_tokens(studio.project.database, me.name)]}


@router.post("/tokens")
def add_token(asked: NewToken, studio: TheStudio, me: Me) -> dict[str, str]:
    """For a program that acts as you. The secret is shown once."""
    accounts_of(studio)
    return {"secret": sessions.begin(studio.project.database, me.name, "token", asked.label)}


@router.delete("/tokens/{token_id}", status_code=204)
def end_token(token_id: TokenId, studio: TheStudio, me: Me) -> None:
    """It lets nobody in any more."""
    accounts = accounts_of(studio)
    sessions.end_token(studio.project.database, me.name, token_id)
    accounts.forget()


def _told(user: User) -> dict[str, Any]:
    return {"name": user.name, "role": user.role, "created": user.at, "active": not user.disabled}
