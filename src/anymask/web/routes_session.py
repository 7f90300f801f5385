"""Who is signed in, and signing in and out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from anymask.store.users import User
from anymask.web.people import People
from anymask.web.studio import Studio, studio_of

router = APIRouter()
TheStudio = Annotated[Studio, Depends(studio_of)]


@router.get("/session")
def session(request: Request, studio: TheStudio) -> dict[str, Any]:
    """Who the server takes you for; also for who has not signed in."""
    return session_told(studio.people, request.state.user)


def session_told(people: People, user: User | None) -> dict[str, Any]:
    told = None if user is None else {"name": user.name, "role": user.role}
    return {"mode": people.mode, "user": told}
