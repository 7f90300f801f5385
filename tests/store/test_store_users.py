"""People of a project: names, roles, and who may not be shut out."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import func, insert, select

from anymask.errors import BadInput
from anymask.store import registry, users
from anymask.store.database import Database
from anymask.store.schema import sessions


@pytest.fixture
def database(empty_url: str) -> Callable[..., Database]:
    with Database.open(empty_url) as opened:
        yield opened


def sign_in(database: Database, name: str, token: str) -> None:
    row = {"token_sha256": token * 64, "user": name, "created_at": 1.0, "expires_at": 9e9, "kind": "session"}
    database.write(lambda connection: connection.execute(insert(sessions).values(**row)))


def count_sessions(database: Database) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(sessions)).scalar()


def test_people_are_added_found_and_listed(database: Database) -> None:
    users.add_user(database, "Ann Lee", "admin")
    bob = users.add_user(database, "밥@example.org")
    assert [(one.name, one.role) for one in users.list_users(database)] == [
        ("Ann Lee", "admin"),
        ("밥@example.org", "annotator"),
    ]
    assert users.find_user(database, "밥@example.org") == bob
    assert bob.kinds == ("annotate",)
    assert users.set_role(database, bob.name, "reviewer").kinds == ("annotate", "review", "audit")


@pytest.mark.parametrize("name", ["", " ann", "ann ", "model:lite", "a\nb", "x" * 65, "../x", "a\0"])
def test_what_is_no_name_is_refused(database: Database, name: str) -> None:
    with pytest.raises(BadInput, match="name: expected"):
        users.add_user(database, name)
    assert users.list_users(database) == []


def test_a_name_is_for_one_person(database: Database) -> None:
    users.add_user(database, "ann")
    with pytest.raises(BadInput, match="already"):
        users.add_user(database, "ann", "reviewer")
    for call in (users.find_user, users.disable, lambda d, n: users.set_role(d, n, "admin")):
        with pytest.raises(BadInput, match="expected a user of the project"):
            call(database, "bob")
    with pytest.raises(BadInput, match="role: expected one of"):
        users.set_role(database, "ann", "king")


def test_who_is_disabled_loses_their_sessions_and_tasks(database: Database) -> None:
    for name in ("ann", "bob"):
        users.add_user(database, name, "reviewer")
    sign_in(database, "ann", "a")
    sign_in(database, "bob", "b")
    assert users.disable(database, "ann").kinds == ()
    assert count_sessions(database) == 1
    assert users.disable(database, "ann", False).kinds
    told = [(row.what, row.detail) for row in registry.read_log(database)]
    assert told[-1] == ("user changed", '{"disabled":false,"user":"ann"}')


def test_a_project_keeps_an_admin(database: Database) -> None:
    users.add_user(database, "ann", "admin")
    users.add_user(database, "bob", "annotator")
    for call in (users.disable, lambda d, n: users.set_role(d, n, "reviewer")):
        with pytest.raises(BadInput, match="last manager"):
            call(database, "ann")
    assert users.find_user(database, "ann").role == "admin"
    users.set_role(database, "bob", "admin")
    users.disable(database, "ann")
    with pytest.raises(BadInput, match="last manager"):
        users.set_role(database, "bob", "annotator")


def test_two_admins_cannot_remove_each_other_at_once(database: Database) -> None:
    names = ("ann", "bob")
    for name in names:
        users.add_user(database, name, "admin")
    for _ in range(10):
        failed: list[BadInput] = []
        start = threading.Barrier(2)

        def remove(name: str, failed: list[BadInput] = failed, start: threading.Barrier = start) -> None:
            start.wait()
            try:
                users.disable(database, name)
            except BadInput as error:
                failed.append(error)

        people = [threading.Thread(target=remove, args=(name,)) for name in names]
        for one in people:
            one.start()
        for one in people:
            one.join()
        assert len(failed) == 1
        for name in names:
            users.disable(database, name, False)


def test_a_session_is_of_somebody(database: Database) -> None:
    from anymask.errors import StorageError

    with pytest.raises(StorageError):
        sign_in(database, "nobody", "a")
