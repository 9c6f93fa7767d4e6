"""Every route and page, asked as everybody, answers as the table of `docs/access.md` says; none is missing there."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dashboards.app import mount
from server.app import create_app
from server.services import Services
from tests.server.conftest import PASSWORD, SYSTEM, TurnedClock
from tests.server.matrix import (
    ENDLESS,
    OTHER,
    OWN,
    ROLES,
    Asker,
    ask_all,
    line_of,
    read_table,
    routes,
)
from tests.server.things import seed_things

#: Unsafe routes that need no session's token, each for its reason.
WITHOUT_TOKEN = {
    "POST /api/v1/session": "there is no session yet; JSON can't be sent by a form of another site",
    "POST /api/v1/batches": "a box signs in with its own name and password, or its certificate",
    "PUT /api/v1/status": "as above",
    "POST /sign-in": "there is no session yet; the form of another site is refused by its origin",
    "POST /sign-in/code": "asks the session that waits for its token; an open one is sent away unheard",
    "POST /sign-in/enrol": "as above",
    "POST /sign-in/password": "as above",
}


#: Parameters that name a thing of a store's, which `seed_things` makes.
BY_STORE = {"member_id", "coupon_id", "card_id", "posting_id"}
#: Refused before it is looked for: what was made up lacks what has to be sent, such as the card's number of a till.
ASKS_MORE = {
    "POST /api/v1/stored-value/cards/{card_id}/purchases",
    "POST /desk/members/{member_id}/check-in",
    "POST /desk/members/{member_id}/consents",
    "POST /desk/members/{member_id}/correction",
    "POST /desk/members/{member_id}/correction/code",
    "POST /desk/members/{member_id}/page/close",
}
#: Whoever stands in a store may be noted as seen in it: the visit is that store's.
SEEN_ANYWHERE = {"POST /api/v1/members/{member_id}/check-ins"}
#: Something beside the member that was not made: an attachment, a value that the night makes.
NOTHING_THERE = {
    "GET /api/v1/members/{member_id}/attachments/{attachment_id}",
    "GET /api/v1/value/members/{member_id}",
}


@pytest.fixture
def asker(chain: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asker]:
    """Everybody, before the API and the pages; what is written into the working folder, such as messages, goes away."""
    monkeypatch.chdir(tmp_path)
    app = create_app(chain)
    mount(app, chain)
    made = Asker(app, chain)
    # One event loop for all of them, not one for each.
    with made.client:
        yield made
    app.state.live.close()


def test_everybody_may_what_the_table_says_and_no_route_is_missing(asker: Asker) -> None:
    found, told = ask_all(asker), read_table()
    assert len(found) > 100
    wrong = [line_of(name, words) for name, words in found.items() if told.get(name) != words]
    gone = sorted(set(told) - set(found))
    assert not wrong, "judge each of these, then write it into docs/access.md:\n" + "\n".join(wrong)
    assert not gone, f"docs/access.md tells of routes there are none of: {gone}"


def test_whoever_may_no_more_is_signed_out(asker: Asker, chain: Services, clock: TurnedClock) -> None:
    """A session left alone for an hour, one of somebody disabled; a key past its end, and one revoked."""
    idle, ended = (chain.access.sign_in(who, PASSWORD, "10.0.0.1").token for who in ("admin", "hq"))
    expired = chain.access.create_api_key(SYSTEM, "old", "admin", [], expires_at=clock.now + timedelta(minutes=30))
    revoked = chain.access.create_api_key(SYSTEM, "lost", "admin", [])
    for each in chain.access.api_keys(SYSTEM):
        if each.name == "lost":
            chain.access.revoke_api_key(SYSTEM, each.key_id)
    clock.turn(minutes=61)
    chain.access.disable_user(SYSTEM, "hq")
    told = read_table()
    for route in routes(asker.app):
        if route.path.endswith(ENDLESS):
            continue
        expected = told.get(route.name, ["in"])[-1]
        assert {asker.ask(route, "out", OWN, token)[0] for token in (idle, ended)} == {expected}, route.name
        if expected == "in" and not route.is_page:
            answers = [asker.answer(route, "out", OWN, key=key)[0].status_code for key in (expired, revoked)]
            assert answers == [401, 401], route.name


def test_a_thing_of_another_store_is_not_found_by_its_id(asker: Asker, chain: Services) -> None:
    """What the table's `yes` means of things: each is there, and is asked for as everybody of another store."""
    own, other = seed_things(chain, OWN, "+8613800138001"), seed_things(chain, OTHER, "+8613800138002")
    told, asked, wrong = read_table(), 0, []
    named = [
        each
        for each in routes(asker.app)
        if set(re.findall(r"{(\w+)}", each.path)) & BY_STORE and each.name not in SEEN_ANYWHERE
    ]
    for route in sorted(named, key=lambda each: each.method != "GET"):
        for role, word in zip(ROLES, told[route.name], strict=True):
            if word not in {"yes", "own"} or role in {"admin", "hq", "out"}:
                continue
            asked += 1
            theirs = asker.answer(route, role, OWN, things=other)[0].status_code
            if theirs not in {403, 404, 422 if route.name in ASKS_MORE else 404}:
                wrong.append(f"{route.name} as {role}: {theirs} of another store's")
            if route.method == "GET":
                ours = asker.answer(route, role, OWN, things=own)[0].status_code
                if ours != 200 and route.name not in NOTHING_THERE:
                    wrong.append(f"{route.name} as {role}: {ours} of their own")
    assert not wrong, "\n".join(wrong)
    assert asked > 100


def test_every_unsafe_route_asks_for_the_sessions_token(asker: Asker) -> None:
    for route in routes(asker.app):
        if route.method not in {"GET", "HEAD"} and route.name not in WITHOUT_TOKEN:
            assert asker.unsafe_without_token(route) == 403, route.name
