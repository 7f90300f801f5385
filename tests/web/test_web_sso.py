"""Signing in through a provider of this test's own: who was invited gets in, every lie is refused."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

argon2 = pytest.importorskip("argon2")
pytest.importorskip("joserfc")
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from studio_client import API, HOST, PORT, error_of

from anymask.engine.project import Project
from anymask.errors import BadOption
from anymask.store import users
from anymask.web.accounts import Accounts
from anymask.web.app import create_app
from anymask.web.inference import Inference
from anymask.web.security import Places
from anymask.web.sso import BEGUN_S, Provider, SingleSignOn
from anymask.web.studio import Studio

CLIENT, SECRET = "studio", "a secret of the client"
QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
KEY, OTHER = (RSAKey.generate_key(2048, parameters={"kid": "one"}) for _ in range(2))


class FakeProvider:
    """Answers as one does; `claims`, `header` and `key` are what a test changes."""

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        self.key: Any = KEY
        self.codes: dict[str, dict[str, str]] = {}
        self.told: dict[str, Any] = {}
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def agreed(self, place: str) -> dict[str, str]:
        """A person signs in there: the query that the browser brings back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(place).query).items()}
        assert asked["response_type"] == "code" and asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256" and "openid" in asked["scope"]
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.issuer, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 60,
            "nonce": asked["nonce"], "email": "ada@example.org", "email_verified": True,
        } | self.claims  # fmt: skip
        told = {name: value for name, value in claims.items() if value is not None}
        if self.header["alg"] == "none":
            parts = [
                base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in (self.header, told)
            ]
            return b".".join([*parts, b""]).decode()
        return jwt.encode(self.header, told, self.key, algorithms=["RS256", "HS256"])

    def exchanged(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".replace(" ", "%20").encode()).decode()
        asked = self.codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
        if (
            asked is None
            or authorization != f"Basic {basic}"
            or form["redirect_uri"] != asked["redirect_uri"]
        ):
            return None
        if challenge.rstrip(b"=").decode() != asked["code_challenge"]:
            return None
        return {"access_token": "x", "token_type": "Bearer", "id_token": self.token(asked)}

    def _handler(provider: FakeProvider) -> Any:  # noqa: N805
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                told = {"issuer": provider.issuer} | {
                    f"{name}_endpoint": f"{provider.issuer}/{name}" for name in ("authorization", "token")
                }
                keys = KeySet([KEY]).as_dict(private=False)
                self._answer(
                    keys
                    if self.path == "/jwks"
                    else {**told, "jwks_uri": f"{provider.issuer}/jwks"} | provider.told
                )

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                self._answer(provider.exchanged(form, self.headers["Authorization"]))

            def _answer(self, value: Any) -> None:
                self.send_response(200 if value else 400)
                self.end_headers()
                self.wfile.write(json.dumps(value).encode())

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        return Handler


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = FakeProvider()
    yield made
    made.close()


@pytest.fixture
def sso(provider: FakeProvider) -> SingleSignOn:
    return SingleSignOn(Provider(provider.issuer, CLIENT, SECRET), f"{HOST}{API}/sso/callback")


@pytest.fixture
def browser(project: Project, sso: SingleSignOn) -> Iterator[TestClient]:
    users.add_user(project.database, "Ada@example.org", "annotator", author="admin")
    people = Accounts(project, secure=False, hasher=QUICK, sso=sso)
    studio = Studio("disks", project, people, Inference("disk", workers=1))
    app = create_app(studio, Places.of_loopback(PORT))
    with TestClient(app, base_url=HOST, raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


def went(browser: TestClient) -> str:
    answer = browser.get(f"{API}/sso", headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 303, answer.text
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower()
    return answer.headers["location"]


def came_back(browser: TestClient, query: dict[str, str]) -> Any:
    headers = {"Sec-Fetch-Site": "cross-site"}
    return browser.get(f"{API}/sso/callback?{urlencode(query)}", headers=headers)


def test_somebody_who_was_invited_signs_in(browser: TestClient, provider: FakeProvider) -> None:
    assert browser.get(f"{API}/session").json() == {"mode": "team", "user": None, "sso": f"{API}/sso"}
    answer = came_back(browser, provider.agreed(went(browser)))
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    told = browser.get(f"{API}/session").json()["user"]
    assert told == {"name": "Ada@example.org", "role": "annotator"}
    assert browser.get(f"{API}/users").status_code == 403, "with their own role"


LIES: dict[str, dict[str, Any]] = {
    "another nonce": {"claims": {"nonce": "x"}},
    "no nonce": {"claims": {"nonce": None}},
    "for another client": {"claims": {"aud": "other"}},
    "for several, not by us": {"claims": {"aud": [CLIENT, "other"], "azp": "other"}},
    "of another issuer": {"claims": {"iss": "https://evil.example"}},
    "run out": {"claims": {"exp": 1_000_000}},
    "that never runs out": {"claims": {"exp": None}},
    "address not verified": {"claims": {"email_verified": False}},
    "address perhaps verified": {"claims": {"email_verified": "true"}},
    "no address": {"claims": {"email": None}},
    "unsigned": {"header": {"alg": "none"}},
    "signed by another key": {"key": OTHER},
    "signed with the client's secret": {"header": {"alg": "HS256"}, "key": OctKey.import_key(SECRET)},
    "signed with the public key as a secret": {
        "header": {"alg": "HS256", "kid": "one"},
        "key": OctKey.import_key(str(KEY.as_dict(private=False)["n"])),
    },
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_is_not_right_opens_nothing(
    browser: TestClient, provider: FakeProvider, lie: str
) -> None:
    for name, value in LIES[lie].items():
        setattr(provider, name, value)
    answer = came_back(browser, provider.agreed(went(browser)))
    assert answer.status_code == 401 and error_of(answer)["code"] == "sso_failed"
    assert browser.get(f"{API}/project").status_code == 401


@pytest.mark.parametrize("email", ["eve@example.org", "ada@example.org.evil", "", "' OR 1=1 --"])
def test_nobody_becomes_a_user_by_it(
    browser: TestClient, provider: FakeProvider, project: Project, email: str
) -> None:
    provider.claims = {"email": email}
    before = len(users.list_users(project.database))
    assert came_back(browser, provider.agreed(went(browser))).status_code in (401, 403)
    assert browser.get(f"{API}/project").status_code == 401
    assert len(users.list_users(project.database)) == before


def test_who_was_shut_out_stays_out(browser: TestClient, provider: FakeProvider, project: Project) -> None:
    users.disable(project.database, "Ada@example.org", True, author="admin")
    assert came_back(browser, provider.agreed(went(browser))).status_code == 403


def test_an_answer_works_once_and_only_in_the_browser_that_asked(
    browser: TestClient, provider: FakeProvider
) -> None:
    query = provider.agreed(went(browser))
    victim = TestClient(browser.app, base_url=HOST, follow_redirects=False)
    assert came_back(victim, query).status_code == 401, "forced into somebody else's session"
    assert came_back(browser, {**query, "state": "x"}).status_code == 401
    assert came_back(browser, query).status_code == 401, "a wrong state ends it"
    query = provider.agreed(went(browser))
    cookies = dict(browser.cookies)
    assert came_back(browser, query).status_code == 303
    again = TestClient(browser.app, base_url=HOST, follow_redirects=False, cookies=cookies)
    assert came_back(again, query).status_code == 401, "sent once more"


def test_who_waits_too_long_begins_again(
    browser: TestClient, provider: FakeProvider, sso: SingleSignOn
) -> None:
    query = provider.agreed(went(browser))
    now = time.monotonic()
    sso._clock = lambda: now + BEGUN_S + 1
    assert came_back(browser, query).status_code == 401


@pytest.mark.parametrize(
    "told",
    [
        {"issuer": "https://evil.example"}, {"token_endpoint": None}, {"token_endpoint": "file:///etc/passwd"},
        {"token_endpoint": "http://169.254.169.254/latest"}, {"jwks_uri": "http://evil.example/keys"},
    ],
)  # fmt: skip
def test_a_provider_that_is_not_set_up_right_is_not_asked(
    browser: TestClient, provider: FakeProvider, told: dict[str, Any]
) -> None:
    query = provider.agreed(went(browser))
    provider.told = told
    answer = came_back(browser, query)
    assert 400 <= answer.status_code <= 503 and answer.status_code != 500
    assert browser.get(f"{API}/project").status_code == 401


@pytest.mark.parametrize("issuer", ["http://login.example", "ftp://x", "", "https://user@x", "https:///x"])
def test_a_provider_without_tls_is_refused(issuer: str) -> None:
    with pytest.raises(BadOption, match="https"):
        Provider(issuer, CLIENT, SECRET)


def test_without_a_provider_there_is_no_such_thing(project: Project) -> None:
    people = Accounts(project, secure=False, hasher=QUICK)
    studio = Studio("disks", project, people, Inference("disk", workers=1))
    with TestClient(create_app(studio, Places.of_loopback(PORT)), base_url=HOST) as client:
        assert client.get(f"{API}/sso", follow_redirects=False).status_code == 404
        assert "sso" not in client.get(f"{API}/session").json()
