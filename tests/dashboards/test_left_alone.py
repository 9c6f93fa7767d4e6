"""A page left open: it does not keep its reader signed in, and shows nothing to whoever may no longer see it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import httpx
import pytest

from dashboards.live import MOST_STREAMS, LiveHub
from dashboards.viewer import UNASKED_HEADER
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN
from tests.fixtures.wait import wait_until

AsUser = Callable[[str], httpx.Client]
#: More than a session may be idle, in steps that are less.
_STEP = timedelta(minutes=40)
_LIVE = "/stores/S01/live"


def views_of(answer: httpx.Response) -> Iterator[str]:
    """What a stream sends, event by event."""
    return (line.removeprefix("event: ") for line in answer.iter_lines() if line.startswith("event: "))


@pytest.mark.parametrize(
    ("who", "path", "marked"),
    [
        ("manager", "/stores/S01/quarters", False),
        ("admin", "/setup/state", False),
        ("admin", "/admin/cameras/S01/S01-C1/fate", False),
        # Pages that people open, too: their script says when it is the one that asks.
        ("hq", "/imports", True),
        ("hq", "/jobs", True),
    ],
)
def test_what_a_page_asks_by_itself_keeps_nobody_signed_in(
    as_user: AsUser, shop: Shop, who: str, path: str, marked: bool
) -> None:
    client = as_user(who)
    headers = {UNASKED_HEADER: "1"} if marked else {}
    shop.clock.now += _STEP
    assert client.get(path, headers=headers).status_code == 200
    shop.clock.now += _STEP
    assert client.get(path, headers=headers).status_code == 303, "idle for longer than allowed, whatever its page did"


def test_what_a_person_asks_keeps_them_signed_in(as_user: AsUser, shop: Shop) -> None:
    client = as_user("hq")
    for _ in range(3):
        shop.clock.now += _STEP
        assert client.get("/imports").status_code == 200


def test_a_live_page_keeps_nobody_signed_in(as_user: AsUser, shop: Shop) -> None:
    client = as_user("manager")
    shop.clock.now += _STEP
    with client.stream("GET", _LIVE) as answer:
        assert next(views_of(answer)) == "view"
    shop.clock.now += _STEP
    assert client.get(_LIVE).status_code == 401


def _sign_out(shop: Shop) -> None:
    shop.services.access.end_sessions(ADMIN, "manager")


def _idle(shop: Shop) -> None:
    shop.clock.now += 2 * _STEP


@pytest.mark.parametrize("ends", [_sign_out, _idle])
def test_an_open_stream_ends_with_its_session(
    as_user: AsUser, shop: Shop, monkeypatch: pytest.MonkeyPatch, ends: Callable[[Shop], None]
) -> None:
    hub: LiveHub = shop.app.state.live
    monkeypatch.setattr(hub, "_standing_s", 0.0)
    client = as_user("manager")
    with client.stream("GET", _LIVE, timeout=60) as answer:
        views = views_of(answer)
        assert [next(views), next(views)] == ["view", "view"], "it goes on while the session stands"
        ends(shop)
        # The server closes it, long before the browser would have asked again: reading it comes to an end.
        assert sum(1 for _ in views) < 10
    assert client.get(_LIVE).status_code == 401


def test_a_session_has_so_many_streams_and_no_more(as_user: AsUser, shop: Shop) -> None:
    client, other = as_user("manager"), as_user("hq")
    with ExitStack() as open_ones:
        last = [open_ones.enter_context(client.stream("GET", _LIVE)) for _ in range(MOST_STREAMS)][-1]
        refused = client.get(_LIVE)
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        with other.stream("GET", _LIVE) as answer:
            assert answer.status_code == 200, "somebody else's are counted for themselves"
        last.close()

        def is_let_in() -> bool:
            with client.stream("GET", _LIVE) as answer:
                return answer.status_code == 200

        wait_until(is_let_in, what="the place of a stream that was closed")
    wait_until(lambda: not shop.app.state.live._streams, what="all places to be free again")
