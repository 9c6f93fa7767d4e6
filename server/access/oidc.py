"""The identity provider of a chain that has one: OpenID Connect's code flow with PKCE, and what its token must prove.

Authlib speaks the protocol; the token's proof is checked here, claim by claim, because each left out is a way in: an
algorithm we didn't ask for (`none` above all), another audience, another issuer, a token of before, and one that
answers somebody else's sign-in, which is what the nonce is for. Addresses come from the issuer's own description, which
must name that issuer; TLS is asked for unless the provider runs on this machine.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import structlog
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from server.access.models import CHAIN_ROLES, USER_ROLES, UserRole
from server.clock import Clock
from server.errors import Forbidden, NotSignedIn, Unavailable
from server.settings import Settings

#: Asymmetric ones only: with HS256 the client's own secret, or a public key taken for one, would sign.
ALGORITHMS: Final = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]
#: Two clocks may differ by so much (seconds).
LEEWAY: Final = 60
#: A token that answers a sign-in was made just now (seconds).
_FRESH: Final = 600
_KEPT: Final = timedelta(hours=1)
#: Unknown keys are asked for again, but not at every stranger's token.
_ASK_AGAIN: Final = timedelta(minutes=1)
_SECONDS: Final = 5.0
_LOCAL: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_WORD: Final = 64

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Person:
    """Who the identity provider says has signed in.

    Attributes:
        identity: issuer and subject: what never changes.
        username: as it would stand here; `server.access.checks` says what may stand in it.
    """

    identity: str
    username: str
    display_name: str
    role: UserRole
    stores: list[str]


@dataclass(frozen=True, slots=True)
class _Metadata:
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    sends_secret_in_body: bool


class IdentityProvider:
    """One OpenID Connect provider.

    Args:
        settings: `oidc_issuer` and its neighbours.
        clock: what time it is, for the token's times.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._issuer = settings.oidc_issuer.rstrip("/")
        self._clock = clock
        self._lock = threading.Lock()
        self._metadata: tuple[float, _Metadata] | None = None
        self._keys: tuple[float, KeySet] | None = None

    @property
    def redirect_uri(self) -> str:
        """Where the provider sends people back to; to be registered there."""
        return f"{self._settings.public_url.rstrip('/')}/sign-in/external/back"

    def address(self, state: str, nonce: str, verifier: str) -> str:
        """Where to send a person who wants to sign in.

        Raises:
            Unavailable: the provider does not answer.
        """
        with self._client() as client:
            url, _ = client.create_authorization_url(
                self._described().authorization_endpoint, state=state, code_verifier=verifier, nonce=nonce
            )
        return str(url)

    def person(self, code: str, nonce: str, verifier: str) -> Person:
        """Who came back with a code.

        Raises:
            NotSignedIn: the code or the token proves nothing.
            Forbidden: the token is good, and none of its groups has a role here.
            Unavailable: the provider does not answer.
        """
        return self._read(self._claims(self._exchange(code, verifier), nonce))

    def _exchange(self, code: str, verifier: str) -> str:
        described = self._described()
        try:
            with self._client() as client:
                token = client.fetch_token(
                    described.token_endpoint, grant_type="authorization_code", code=code, code_verifier=verifier
                )
        except (OAuthError, ValueError) as error:
            _log.warning("the identity provider refused the code", reason=type(error).__name__)
            raise _refused() from error
        except httpx2.HTTPError as error:
            raise _away(error) from error
        id_token = token.get("id_token") if isinstance(token, Mapping) else None
        if not isinstance(id_token, str):
            _log.warning("the identity provider sent no id_token", remedy="the client needs the scope openid there")
            raise _refused()
        return id_token

    def _claims(self, id_token: str, nonce: str) -> dict[str, Any]:
        now = int(self._clock().timestamp())
        audience = self._settings.oidc_client_id
        rules = jwt.JWTClaimsRegistry(
            now=now,
            leeway=LEEWAY,
            iss={"essential": True, "value": self._described().issuer},
            aud={"essential": True, "value": audience},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            try:
                claims = jwt.decode(id_token, self._key_set(), algorithms=ALGORITHMS).claims
            except (InvalidKeyIdError, ValueError):
                # No key of that name: they may have been changed since they were read.
                claims = jwt.decode(id_token, self._key_set(is_stale=True), algorithms=ALGORITHMS).claims
            rules.validate(claims)
        except (JoseError, ValueError) as error:
            _log.warning("a token of the identity provider proves nothing", reason=type(error).__name__)
            raise _refused() from error
        others = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        is_for_us = (len(others) == 1 or claims.get("azp") == audience) and claims.get("azp", audience) == audience
        if not is_for_us or not isinstance(claims["sub"], str) or not claims["sub"] or claims["iat"] < now - _FRESH:
            _log.warning("a token of the identity provider is not for this sign-in")
            raise _refused()
        return claims

    def _read(self, claims: Mapping[str, Any]) -> Person:
        settings = self._settings
        groups = set(_words(claims.get(settings.oidc_groups_claim)))
        role = next((role for role, group in settings.oidc_role_of if group in groups), None)
        if role is None or role not in USER_ROLES:
            raise Forbidden(
                "none of your groups has a role here",
                remedy="ask your administrator to add you to one (DOORLINE_OIDC_ROLES)",
            )
        identity = f"{self._issuer} {claims['sub']}"
        name = str(claims.get("preferred_username") or claims.get("email") or "")
        return Person(
            identity=identity,
            username=name.strip().lower()[:_WORD] or f"sso-{sha256(identity.encode()).hexdigest()[:12]}",
            display_name=str(claims.get("name") or name)[:200],
            role=role,  # type: ignore[arg-type]
            stores=[] if role in CHAIN_ROLES else sorted(set(_words(claims.get(settings.oidc_stores_claim)))),
        )

    def _client(self) -> OAuth2Client:
        settings = self._settings
        secret = settings.oidc_client_secret.get_secret_value()
        method = "client_secret_post" if self._described().sends_secret_in_body else "client_secret_basic"
        return OAuth2Client(
            client_id=settings.oidc_client_id,
            client_secret=secret or None,
            token_endpoint_auth_method=method if secret else "none",
            scope="openid profile email",
            redirect_uri=self.redirect_uri,
            code_challenge_method="S256",
            timeout=_SECONDS,
            trust_env=False,
        )

    def _described(self) -> _Metadata:
        with self._lock:
            if self._metadata is not None and time.monotonic() - self._metadata[0] < _KEPT.total_seconds():
                return self._metadata[1]
            found = self._get(f"{self._issuer}/.well-known/openid-configuration")
            if str(found.get("issuer", "")).rstrip("/") != self._issuer:
                raise Unavailable("the identity provider describes another issuer than DOORLINE_OIDC_ISSUER")
            methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
            described = _Metadata(
                str(found["issuer"]),
                _safe(found.get("authorization_endpoint")),
                _safe(found.get("token_endpoint")),
                _safe(found.get("jwks_uri")),
                sends_secret_in_body="client_secret_basic" not in methods,
            )
            self._metadata = (time.monotonic(), described)
        return described

    def _key_set(self, *, is_stale: bool = False) -> KeySet:
        described = self._described()
        kept = _ASK_AGAIN if is_stale else _KEPT
        with self._lock:
            if self._keys is None or time.monotonic() - self._keys[0] >= kept.total_seconds():
                found = self._get(described.jwks_uri)
                try:
                    keys = KeySet.import_key_set({"keys": list(found["keys"])})
                except (JoseError, KeyError, TypeError, ValueError) as error:
                    raise Unavailable("the identity provider's keys can't be read") from error
                self._keys = (time.monotonic(), keys)
            return self._keys[1]

    def _get(self, url: str) -> dict[str, Any]:
        try:
            answer = httpx2.get(_safe(url), timeout=_SECONDS, trust_env=False)
            answer.raise_for_status()
            found = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise _away(error) from error
        if not isinstance(found, dict):
            raise Unavailable("the identity provider's answer can't be read")
        return found


def _safe(url: object) -> str:
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)):
        raise Unavailable("the identity provider has to be reached over TLS; its description names another address")
    return str(url)


def _words(claim: object) -> list[str]:
    """A list of words, or words by commas or blanks."""
    if isinstance(claim, list):
        return [each for each in claim if isinstance(each, str)]
    return claim.replace(",", " ").split() if isinstance(claim, str) else []


def _refused() -> NotSignedIn:
    return NotSignedIn("the identity provider did not prove who you are", remedy="sign in again")


def _away(error: Exception) -> Unavailable:
    _log.warning("the identity provider can't be reached", reason=type(error).__name__)
    return Unavailable("the identity provider can't be reached now")
