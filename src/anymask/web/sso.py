"""Signing in through an OpenID Connect provider: authorization code with PKCE, nonce and a state in a cookie.

Nobody becomes a user by it: who signs in was invited before, under the address that the provider vouches for.
https://openid.net/specs/openid-connect-core-1_0.html, RFC 7636, RFC 9700.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
import urllib.request
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from anymask.errors import BadOption
from anymask.web.errors import Refused

ALGORITHMS = [
    "RS256",
    "PS256",
    "ES256",
    "ES384",
    "EdDSA",
]  # signed by the provider's own key, never by a secret
BEGUN = 1_000  # people who are at the provider at the same time
BEGUN_S = 600.0
KEYS_S = 600.0  # for which keys are not fetched again
LEEWAY_S = 30  # by which clocks may differ
TIMEOUT_S = 10.0
MAX_ANSWER = 1 << 20
WRONG = "signing in did not work: try again"


@dataclass(frozen=True, slots=True)
class Provider:
    """`issuer`: https://..., as in its own configuration document."""

    issuer: str
    client_id: str
    client_secret: str

    def __post_init__(self) -> None:
        """Raises BadOption."""
        _check_url(self.issuer)
        if not self.client_id or not self.client_secret:
            raise BadOption("single sign-on: expected the id and the secret of a client of the provider")


@dataclass(frozen=True, slots=True)
class _Begun:
    state: str
    nonce: str
    verifier: str
    until: float


class SingleSignOn:
    """`redirect_url`: of the callback route, as the provider knows it. Blocks: call it in a thread."""

    def __init__(
        self, provider: Provider, redirect_url: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.provider, self.redirect_url, self._clock = provider, redirect_url, clock
        self._begun: OrderedDict[str, _Begun] = OrderedDict()
        self._gate = threading.Lock()
        self._keys: tuple[KeySet, float] | None = None

    def begin(self) -> tuple[str, str]:
        """Where to send the browser, and a secret for a cookie of it. Raises Refused."""
        place = self._place("authorization_endpoint")
        secret, state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(4))
        with self._gate:
            self._begun[secret] = _Begun(state, nonce, verifier, self._clock() + BEGUN_S)
            while len(self._begun) > BEGUN:
                self._begun.popitem(last=False)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=")
        asked = {
            "response_type": "code",
            "client_id": self.provider.client_id,
            "redirect_uri": self.redirect_url,
            "scope": "openid email",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge.decode(),
            "code_challenge_method": "S256",
        }
        return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}", secret

    def finish(self, secret: str, state: str, code: str) -> str:
        """The address that the provider vouches for. Works once. Raises Refused."""
        with self._gate:
            begun = self._begun.pop(secret, None)
        if begun is None or self._clock() > begun.until:
            raise Refused(401, "signing in took too long: try again", "sso_failed")
        if not hmac.compare_digest(state.encode(), begun.state.encode()):
            raise Refused(401, WRONG, "sso_failed")
        answer = self._exchange(code, begun.verifier)
        return self._address(str(answer.get("id_token", "")), begun.nonce)

    def _exchange(self, code: str, verifier: str) -> dict[str, Any]:
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_url,
            "code_verifier": verifier,
        }
        pair = f"{quote(self.provider.client_id, safe='')}:{quote(self.provider.client_secret, safe='')}"
        basic = base64.b64encode(pair.encode()).decode()
        return _fetched(self._place("token_endpoint"), urlencode(asked).encode(), f"Basic {basic}")

    def _address(self, token: str, nonce: str) -> str:
        claims = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self.provider.issuer},
            aud={"essential": True, "value": self.provider.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
            email={"essential": True},
            email_verified={"essential": True, "value": True},
        )
        try:
            found = jwt.decode(token, self._provider_keys(), algorithms=ALGORITHMS).claims
            claims.validate(found)
        except (JoseError, ValueError, TypeError) as error:
            raise Refused(401, WRONG, "sso_failed") from error
        audience = found["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        if (several or "azp" in found) and found.get("azp") != self.provider.client_id:
            raise Refused(401, WRONG, "sso_failed")
        return str(found["email"])

    def _provider_keys(self) -> KeySet:
        now = self._clock()
        if self._keys is None or now > self._keys[1]:
            self._keys = KeySet.import_key_set(_fetched(self._place("jwks_uri"))), now + KEYS_S  # type: ignore[arg-type]
        return self._keys[0]

    def _place(self, name: str) -> str:
        """An address of the provider's configuration document, which has to be of this issuer."""
        told = _fetched(f"{self.provider.issuer.rstrip('/')}/.well-known/openid-configuration")
        if told.get("issuer") != self.provider.issuer or not isinstance(told.get(name), str):
            raise Refused(503, "the provider of sign-in is not set up as expected", "sso_failed")
        _check_url(told[name])
        return str(told[name])


def _check_url(url: str) -> None:
    """TLS, but on this machine. Raises BadOption."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")
    if not (parts.scheme == "https" or local) or not parts.hostname or parts.username:
        raise BadOption(f"single sign-on: expected https://..., got {url[:200]!r}")


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _fetched(url: str, form: bytes | None = None, authorization: str | None = None) -> dict[str, Any]:
    """A JSON object of the provider; nothing is followed elsewhere. Raises Refused."""
    headers = {"Accept": "application/json"}
    if authorization is not None:
        headers |= {"Authorization": authorization, "Content-Type": "application/x-www-form-urlencoded"}
    request = urllib.request.Request(url, form, headers)
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=TIMEOUT_S) as answer:
            found = json.loads(answer.read(MAX_ANSWER))
    except (OSError, ValueError) as error:
        raise Refused(503, "the provider of sign-in does not answer as expected", "sso_failed") from error
    if not isinstance(found, dict):
        raise Refused(503, "the provider of sign-in does not answer as expected", "sso_failed")
    return found
