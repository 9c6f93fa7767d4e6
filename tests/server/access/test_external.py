"""Sign-in through an identity provider: all the way against a real little one, and what must be refused."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import SecretStr, ValidationError

from server.access.models import SignedIn
from server.access.service import AccessService
from server.errors import Conflict, DoorlineError, Forbidden, InvalidInput, NotFound, NotSignedIn, Unavailable
from server.services import Services
from server.settings import Settings
from tests.fixtures.oidc import CLIENT, SECRET, Provider, provider
from tests.server.conftest import PASSWORD, SYSTEM, TurnedClock

HERE = "10.0.0.1"
ROLES = "admin=it, hq=head-office, manager=shops"


@pytest.fixture
def idp(clock: TurnedClock) -> Iterator[Provider]:
    """The provider, with 王 of the head office before it."""
    with provider(lambda: clock.now.timestamp()) as made:
        made.claims = {"sub": "u-1", "preferred_username": "Wang", "name": "王小明", "groups": ["head-office", "x"]}
        yield made


@pytest.fixture
def access(chain: Services, settings: Settings, idp: Provider, clock: TurnedClock) -> AccessService:
    """Signing in, with the provider set up."""
    named = {
        "oidc_issuer": idp.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SecretStr(SECRET),
        "oidc_roles": ROLES,
        "public_url": "https://doorline.example.com/",
    }
    return AccessService(chain.db, settings.model_copy(update=named), clock)


def come(access: AccessService, idp: Provider, browser: str | None = None) -> SignedIn:
    """The whole way there and back."""
    left = access.begin_external("/hq?range=today")
    back = urlsplit(idp.visit(left.address))
    assert f"{back.scheme}://{back.netloc}{back.path}" == "https://doorline.example.com/sign-in/external/back"
    query = parse_qs(back.query)
    session, way = access.finish_external(query["state"][0], browser or left.browser, query["code"][0], HERE)
    assert way == "/hq?range=today"
    return session


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_who_the_provider_knows_is_signed_in_with_the_role_of_their_group(
    access: AccessService, idp: Provider, alg: str
) -> None:
    idp.alg = alg
    session = come(access, idp)
    user = session.user
    assert (user.username, user.display_name, user.role, user.is_external) == ("wang", "王小明", "hq", True)
    assert access.session(session.token) is not None
    assert come(access, idp).user.user_id == user.user_id
    assert idp.refused == []


def test_a_manager_gets_the_stores_of_the_claim_that_exist(access: AccessService, idp: Provider) -> None:
    idp.claims |= {"groups": "shops", "stores": ["S02", "S01", "S99"]}
    assert come(access, idp).user.stores == ["S01", "S02"]
    idp.claims["stores"] = "S99"
    with pytest.raises(Forbidden):
        come(access, idp)
    del idp.claims["stores"]
    with pytest.raises(InvalidInput):
        come(access, idp)


def test_other_groups_mean_other_rights_and_end_sessions_of_before(access: AccessService, idp: Provider) -> None:
    before = come(access, idp)
    idp.claims |= {"groups": ["shops"], "stores": ["S01"]}
    after = come(access, idp)
    assert (after.user.user_id, after.user.role, after.user.stores) == (before.user.user_id, "manager", ["S01"])
    assert access.session(before.token) is None
    assert access.session(after.token) is not None
    with pytest.raises(Forbidden):
        access.change_user(SYSTEM, "wang", role="admin", stores=[])


def test_without_a_group_that_has_a_role_nobody_gets_in(access: AccessService, idp: Provider) -> None:
    for groups in ([], ["others"], "", None, 7, ["hq"], ["admin"]):
        idp.claims["groups"] = groups
        with pytest.raises(Forbidden):
            come(access, idp)


def test_a_name_from_outside_takes_over_no_account_here(access: AccessService, idp: Provider) -> None:
    idp.claims["preferred_username"] = "admin"
    with pytest.raises(Conflict):
        come(access, idp)
    assert access.sign_in("admin", PASSWORD, HERE).stage == "open"


def test_people_of_the_provider_have_no_password_here_and_no_codes(access: AccessService, idp: Provider) -> None:
    session = come(access, idp)
    for password in ("", PASSWORD, "!"):
        with pytest.raises(NotSignedIn):
            access.sign_in("wang", password, HERE)
    for refused in (
        lambda: access.reset_password(SYSTEM, "wang"),
        lambda: access.set_password(SYSTEM, "wang", PASSWORD),
        lambda: access.offer_totp(session),
    ):
        with pytest.raises(Forbidden):
            refused()


def test_who_was_disabled_here_stays_out(access: AccessService, idp: Provider) -> None:
    session = come(access, idp)
    access.disable_user(SYSTEM, "wang")
    assert access.session(session.token) is None
    with pytest.raises(Forbidden):
        come(access, idp)


def _without(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda claims: claims.pop(name)


def _with(**changed: Any) -> Callable[[dict[str, Any]], None]:
    return lambda claims: claims.update(changed)


@pytest.mark.parametrize(
    "spoil",
    [
        _with(nonce="another sign-in's"),
        _without("nonce"),
        _with(aud="another client"),
        _with(aud=[]),
        _with(aud=[CLIENT, "another client"]),
        _with(azp="another client"),
        _without("aud"),
        _with(iss="https://evil.example"),
        _without("iss"),
        _without("exp"),
        _without("iat"),
        _without("sub"),
        _with(sub=""),
        lambda claims: claims.update(exp=claims["iat"] - 120),
        lambda claims: claims.update(iat=claims["iat"] - 3600),
        lambda claims: claims.update(iat=claims["iat"] + 3600),
        lambda claims: claims.update(nbf=claims["iat"] + 3600),
    ],
    ids=lambda spoil: "",
)
def test_a_token_that_proves_something_else_is_refused(
    access: AccessService, idp: Provider, spoil: Callable[[dict[str, Any]], None]
) -> None:
    idp.spoil = spoil
    with pytest.raises(NotSignedIn):
        come(access, idp)


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unsigned(claims: dict[str, Any]) -> str:
    return f"{_b64(json.dumps({'alg': 'none'}).encode())}.{_b64(json.dumps(claims).encode())}."


def _by_the_clients_secret(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET.ljust(32)))


@pytest.mark.parametrize("sign", [_unsigned, _by_the_clients_secret, lambda _: "not.a.token", lambda _: ""])
def test_a_token_nobody_signed_is_refused(
    access: AccessService, idp: Provider, sign: Callable[[dict[str, Any]], str]
) -> None:
    idp.sign = sign
    with pytest.raises(NotSignedIn):
        come(access, idp)


def test_a_token_signed_with_the_public_key_as_a_secret_is_refused(access: AccessService, idp: Provider) -> None:
    public = idp.keys["RS256"].as_pem(private=False)
    idp.sign = lambda claims: jwt.encode({"alg": "HS256", "kid": "r1"}, claims, OctKey.import_key(public[27:]))
    with pytest.raises(NotSignedIn):
        come(access, idp)


def test_a_token_of_a_stranger_under_the_name_of_our_key_is_refused(access: AccessService, idp: Provider) -> None:
    with provider(idp.now) as stranger:
        idp.sign = lambda claims: jwt.encode({"alg": "ES256", "kid": "e1"}, claims, stranger.keys["ES256"])
        with pytest.raises(NotSignedIn):
            come(access, idp)


def test_keys_that_were_turned_are_read_again_but_not_at_every_token(
    access: AccessService, idp: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    come(access, idp)
    idp.turn_keys()
    with pytest.raises(NotSignedIn):
        come(access, idp)
    monkeypatch.setattr("server.access.oidc._ASK_AGAIN", timedelta(0))
    assert come(access, idp).user.username == "wang"
    assert idp.asked.count("/keys") == 2


def test_only_the_browser_that_left_comes_back_and_only_once(
    access: AccessService, idp: Provider, clock: TurnedClock
) -> None:
    with pytest.raises(NotSignedIn):
        come(access, idp, browser="another one's")
    left = access.begin_external("")
    query = parse_qs(urlsplit(idp.visit(left.address)).query)
    state, code = query["state"][0], query["code"][0]
    with pytest.raises(NotSignedIn):
        access.finish_external("another state", left.browser, code, HERE)
    access.finish_external(state, left.browser, code, HERE)
    with pytest.raises(NotSignedIn):
        access.finish_external(state, left.browser, code, HERE)
    late = access.begin_external("")
    query = parse_qs(urlsplit(idp.visit(late.address)).query)
    clock.turn(minutes=10)
    with pytest.raises(NotSignedIn):
        access.finish_external(query["state"][0], late.browser, query["code"][0], HERE)


def test_a_code_of_another_sign_in_is_worth_nothing(access: AccessService, idp: Provider) -> None:
    """PKCE: the code was made for another verifier."""
    mine, theirs = access.begin_external(""), access.begin_external("")
    state = parse_qs(urlsplit(idp.visit(mine.address)).query)["state"][0]
    code = parse_qs(urlsplit(idp.visit(theirs.address)).query)["code"][0]
    with pytest.raises(NotSignedIn):
        access.finish_external(state, mine.browser, code, HERE)
    assert idp.refused == ["code"]


def test_only_hashes_of_state_and_browser_are_stored(access: AccessService, idp: Provider, chain: Services) -> None:
    left = access.begin_external("")
    state = parse_qs(urlsplit(left.address).query)["state"][0]
    with chain.db.read() as conn:
        stored = str(conn.execute("SELECT * FROM oidc_attempt").fetchall())
    assert state not in stored
    assert left.browser not in stored


def test_a_provider_that_is_away_or_speaks_for_another_is_no_provider(
    access: AccessService, idp: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, idp.issuer = idp.issuer, "https://evil.example"
    with pytest.raises(Unavailable):
        access.begin_external("")
    idp.issuer = real
    monkeypatch.setattr(idp, "answer", lambda _path: (500, {}))
    with pytest.raises(Unavailable):
        access.begin_external("")


def test_addresses_without_tls_are_not_followed(
    access: AccessService, idp: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = idp.answer
    monkeypatch.setattr(
        idp, "answer", lambda path: (200, answer(path)[1] | {"token_endpoint": "http://idp.example/token"})
    )
    with pytest.raises(DoorlineError, match="TLS"):
        access.begin_external("")


def test_without_a_provider_there_is_none(chain: Services) -> None:
    assert chain.access.external_name == ""
    with pytest.raises(NotFound):
        chain.access.begin_external("")


@pytest.mark.parametrize(
    "wrong",
    [
        {"oidc_issuer": "http://idp.example"},
        {"oidc_client_id": ""},
        {"oidc_roles": ""},
        {"oidc_roles": "boss=it"},
        {"oidc_roles": "admin"},
        {"public_url": ""},
        {"public_url": "doorline.example.com"},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    right = {
        "oidc_issuer": "https://idp.example",
        "oidc_client_id": "x",
        "oidc_roles": ROLES,
        "public_url": "https://doorline.example",
    }
    Settings(**right, _env_file=None)  # type: ignore[arg-type,call-arg]
    with pytest.raises(ValidationError):
        Settings(**(right | wrong), _env_file=None)  # type: ignore[arg-type,call-arg]
