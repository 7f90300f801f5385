"""What a page of another site, another user of the machine, or a hostile file may do: nothing."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from studio_client import API, HOST, Annotator, add, error_of, new_uid, square

from anymask.web.people import OnePerson
from anymask.web.rates import Rate, Rates
from anymask.web.security import ROLE_OF
from anymask.web.studio import Studio


def routes(client: TestClient) -> list[tuple[str, str]]:
    paths = client.get("/api/openapi.json").json()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def test_every_route_has_a_row_of_who_may_use_it(client: TestClient) -> None:
    """And every row a route."""
    found = {(method, path.removeprefix(API)) for method, path in routes(client)}
    assert found == set(ROLE_OF)


def test_who_did_not_open_the_link_gets_nothing(client: TestClient) -> None:
    every = routes(client)
    client.cookies.clear()
    for method, path in every:
        if ROLE_OF[method, path.removeprefix(API)] != "anybody":
            url = path.replace("{image_id}", "1").replace("{task_id}", "1").replace("{job_id}", "1")
            answer = client.request(method, url, json={} if method in ("POST", "PATCH") else None)
            assert answer.status_code == 401, (method, path, answer.status_code)
    assert client.get("/metrics").status_code == 401


@pytest.mark.parametrize("token", ["", "x", "é", "a" * 5_000])
def test_a_guessed_token_opens_nothing(client: TestClient, token: str) -> None:
    client.cookies.clear()
    client.get("/", params={"token": token})
    assert client.get(f"{API}/project").status_code == 401
    bearer = {"Authorization": f"Bearer {token}".encode("latin-1", "replace")}
    assert client.get(f"{API}/project", headers=bearer).status_code == 401


def test_the_link_becomes_a_cookie_that_pages_cannot_read(client: TestClient, studio: Studio) -> None:
    client.cookies.clear()
    answer = client.get("/", params={"token": studio.people.token}, follow_redirects=False)
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower()
    assert studio.people.token not in cookie


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:80", "localhost.evil.example:8000", ""]
)
def test_another_name_for_this_machine_is_refused(client: TestClient, host: str) -> None:
    """DNS rebinding: the browser believes that the studio is a part of the other site."""
    for path in ("/", "/healthz", f"{API}/project"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == 400 and error_of(answer)["code"] == "bad_host"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://127.0.0.1:8000.evil.example"},
        {"Origin": HOST, "Content-Type": "text/plain"},
        {"Origin": HOST, "Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_page_of_another_site_cannot_write(client: TestClient, headers: dict[str, str]) -> None:
    sent = {"Content-Type": "application/json", **headers}
    for path in ("/images/1/open", "/jobs/prefill", "/tasks/next"):
        answer = client.post(API + path, content=b"{}", headers=sent)
        assert answer.status_code in (403, 415)
        assert error_of(answer)["code"] in ("bad_origin", "bad_type")


def test_a_navigation_of_another_site_cannot_write(client: TestClient) -> None:
    del client.headers["Origin"]
    answer = client.post(f"{API}/tasks/next", json={}, headers={"Sec-Fetch-Site": "cross-site"})
    assert error_of(answer)["code"] == "bad_origin"


def test_a_program_with_the_token_may_write(client: TestClient, studio: Studio) -> None:
    client.cookies.clear()
    del client.headers["Origin"]
    bearer = {"Authorization": f"Bearer {studio.people.token}"}
    assert client.post(f"{API}/tasks/next", json={}, headers=bearer).status_code == 200


@pytest.mark.parametrize("path", ["/", "/healthz", f"{API}/project", f"{API}/images/99", "/nothing.js"])
def test_every_answer_has_the_headers_of_safety(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert "'unsafe-eval'" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


def test_answers_of_the_interface_are_kept_nowhere(client: TestClient) -> None:
    assert client.get(f"{API}/project").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/../project.json", "/%2e%2e/project.json", "/assets/..%2f..%2fstore.db", "/static/../app.py",
        "/assets../store.db", "//etc/passwd", "/%00", "/assets/%5c..%5cstore.db", "/....//store.db",
        f"{API}/images/../../project.json", f"{API}/jobs/..%2f1/download",
    ],
)  # fmt: skip
def test_no_path_leads_to_another_file(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (401, 404, 422) or b"<!doctype html" in answer.content.lower()
    assert b"SQLite" not in answer.content and b"schema" not in answer.content


def test_a_body_that_is_too_large_is_refused_unread(client: TestClient) -> None:
    answer = client.post(
        f"{API}/tasks/next", content=b"{" + b" " * (11 << 20), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 413 and error_of(answer)["code"] == "too_large"


def test_a_body_that_does_not_say_its_length_is_counted(client: TestClient) -> None:
    def pieces() -> Any:
        for _ in range(12):
            yield b" " * (1 << 20)

    answer = client.post(f"{API}/tasks/next", content=pieces(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"kinds": ["admin"]}',
        b'{"a": NaN}',
        b'{"kinds": "\\ud800"}', b'{"kinds": null, "kinds": []}1',
    ],
)  # fmt: skip
def test_a_body_that_is_nonsense_is_the_fault_of_who_sent_it(client: TestClient, body: bytes) -> None:
    answer = client.post(f"{API}/tasks/next", content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500
    error_of(answer)


@pytest.mark.parametrize("number", ["0", "-1", "99999999999999999999", "1e3", "x", "١"])
def test_numbers_that_are_none_are_refused(client: TestClient, number: str) -> None:
    for path in (f"/images/{number}", f"/images/{number}/masks", f"/jobs/{number}"):
        assert 400 <= client.get(API + path).status_code < 500


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "a\x00b", "a\nb", "\ud800", "x" * 10_000, "'; DROP TABLE masks; --", "‮"],
)
def test_texts_of_people_are_data(ada: Annotator, text: str) -> None:
    ada.open(1)
    mask = {"uid": new_uid(), "rle": square(1).rle, "category": text}
    content = __import__("json").dumps({"lease": ada.held, "operations": [{"op": "add", "mask": mask}]})
    headers = {"Content-Type": "application/json", "Idempotency-Key": new_uid(), "If-Match": "0"}
    answer = ada.client.post(f"{API}/images/1/actions", content=content.encode(), headers=headers)
    assert answer.status_code in (200, 422)
    for one in ada.masks():
        assert one["category"] == text
    assert ada.get("/images/1/masks", Accept="application/json").headers["content-type"] == "application/json"


@pytest.mark.parametrize("key", ["", "x" * 65, "a b", "é"])
def test_keys_of_another_shape_are_refused(ada: Annotator, key: str) -> None:
    ada.open(1)
    answer = ada.client.post(
        f"{API}/images/1/actions",
        json={"lease": ada.held, "operations": [add()]},
        headers=[(b"Idempotency-Key", key.encode("latin-1")), (b"If-Match", b"0")],
    )
    assert answer.status_code == 422 and error_of(answer)["detail"]["fields"]


@pytest.mark.parametrize("revision", ["", "*", 'W/"1"', "-1", "1.5", "99999999999999"])
def test_revisions_of_another_shape_are_refused(ada: Annotator, revision: str) -> None:
    ada.open(1)
    body = {"lease": ada.held, "operations": [add()]}
    answer = ada.post("/images/1/actions", body, **{"Idempotency-Key": "k", "If-Match": revision})
    assert answer.status_code == 422


def test_fields_that_nobody_knows_are_refused(ada: Annotator) -> None:
    answer = ada.post("/images/1/open", {"role": "admin"})
    assert answer.status_code == 422 and error_of(answer)["code"] == "bad_request"


def test_too_many_requests_are_slowed_down(client: TestClient, studio: Studio) -> None:
    studio.rates._clock = lambda: 0.0
    codes = [client.post(f"{API}/images/1/preview", json={}).status_code for _ in range(200)]
    assert codes.count(429) == 200 - 120
    last = client.post(f"{API}/images/1/preview", json={})
    assert error_of(last)["code"] == "too_many" and int(last.headers["retry-after"]) >= 1


def test_a_bucket_fills_again() -> None:
    now = [0.0]
    rates = Rates(lambda: now[0])
    rate = Rate(2, 3)
    assert [rates.take_of("a", rate) == 0 for _ in range(4)] == [True, True, True, False]
    assert rates.take_of("b", rate) == 0
    now[0] = 0.5
    assert rates.take_of("a", rate) == 0 and rates.take_of("a", rate) == pytest.approx(0.5)


def test_secrets_are_for_their_owner_alone_and_survive_a_restart(tmp_path: Path) -> None:
    first = OnePerson.kept(8000, tmp_path / "s")
    again = OnePerson.kept(8000, tmp_path / "s")
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
    assert (first.token, first.session) == (again.token, again.session)
    (tmp_path / "s").write_text("short")
    assert OnePerson.kept(8000, tmp_path / "s").token != first.token


def test_there_is_no_page_of_documentation_with_code_of_others(client: TestClient) -> None:
    for path in ("/docs", "/redoc", "/api/docs"):
        answer = client.get(path)
        assert b"swagger" not in answer.content.lower() and b"cdn" not in answer.content.lower()


def test_no_model_and_no_pickle_can_be_sent(client: TestClient) -> None:
    """CVE-2025-5173, CVE-2025-23045: code in what a client sends. There is no route that takes either."""
    uploads = [path for method, path in routes(client) if method == "POST" and "model" in path]
    assert uploads == [f"{API}/models/{{model_id}}/promote"]


def test_an_answer_to_an_unknown_model_is_no_query_for_others(client: TestClient) -> None:
    for name in ("%25", "_", "a'--", "%00", "x" * 300):
        assert 400 <= client.post(f"{API}/models/{name}/promote", json={}).status_code < 500
