"""Every route and page, asked as everybody, answers as the table of `docs/access.md` says; none is missing there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboards.app import mount
from server.app import create_app
from server.services import Services
from tests.server.conftest import PASSWORD, TurnedClock
from tests.server.matrix import ENDLESS, OWN, Asker, ask_all, line_of, read_table, routes

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


def test_an_ended_session_is_no_session(asker: Asker, chain: Services, clock: TurnedClock) -> None:
    token = chain.access.sign_in("admin", PASSWORD, "10.0.0.1").token
    clock.turn(hours=13)
    told = read_table()
    for route in routes(asker.app):
        if not route.path.endswith(ENDLESS):
            ended, _ = asker.ask(route, "out", OWN, token)
            assert ended == told.get(route.name, ["in"])[-1], route.name


def test_every_unsafe_route_asks_for_the_sessions_token(asker: Asker) -> None:
    for route in routes(asker.app):
        if route.method not in {"GET", "HEAD"} and route.name not in WITHOUT_TOKEN:
            assert asker.unsafe_without_token(route) == 403, route.name
