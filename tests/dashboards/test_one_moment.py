"""What a page reads it reads in one transaction, asks for once, and so its numbers agree whatever comes in between."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

import httpx
import psycopg
import pytest

from server.storage import dirty
from server.stores.facts import FactsService
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import NOW, TODAY
from tests.fixtures.wait import wait_until

#: Who asks for what; whether a store more may not mean a statement more; and the most statements it may take. A page
#: that begins to ask by KPI, by day or by store goes over it. Today is two statements more where it is two days
#: at once: other tests open stores on the other side of the world.
PAGES = [("manager", "/stores/S01", 35), ("hq", "/hq", 20), ("hq", "/hq?range=today", 24)]


@dataclass
class Counted:
    """What was asked of the database."""

    transactions: int = 0
    statements: list[str] = field(default_factory=list)


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    """Count what the driver is told to do, whichever thread tells it."""
    counted = Counted()
    transaction, execute = psycopg.Connection.transaction, psycopg.Cursor.execute

    def counted_transaction(self: Any, *given: Any, **named: Any) -> Any:
        counted.transactions += 1
        return transaction(self, *given, **named)

    def counted_execute(self: Any, query: Any, *given: Any, **named: Any) -> Any:
        counted.statements.append(query.as_string(None) if isinstance(query, psycopg.sql.Composable) else str(query))
        return execute(self, query, *given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "transaction", counted_transaction)
        patched.setattr(psycopg.Cursor, "execute", counted_execute)
        yield counted


@pytest.mark.parametrize(("who", "path", "most"), PAGES)
def test_a_page_is_one_transaction_and_asks_once(
    who: str, path: str, most: int, as_user: Callable[[str], httpx.Client], shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = as_user(who)
    client.timeout = httpx.Timeout(60)
    client.get(path)
    wait_until(lambda: not shop.app.state.live.pollers, what="pages of other tests to be gone")
    with counting(monkeypatch) as counted:
        assert client.get(path).status_code == 200
    # Whose session it is, is read before; and a connection is asked for a sign of life.
    asked = [each for each in counted.statements if each.strip()]
    own = [each for each in asked if not re.search(r"\bFROM (session|app_user)\b", each)]
    assert len(own) < len(asked)
    assert counted.transactions == 2, "one for the session, one for the page"
    assert len(own) <= most, "\n".join(" ".join(each.split())[:120] for each in own)
    # The same statement is asked again for other days or another scope only, never for each store or figure.
    again = {each: own.count(each) for each in own if own.count(each) > 4}
    assert not again, again


def test_what_comes_in_while_a_page_is_made_stands_nowhere_on_it(
    as_user: Callable[[str], httpx.Client], shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_store = FactsService.of_store

    def come_in(people: int) -> None:
        with shop.services.db.transaction() as conn:
            conn.execute(
                "UPDATE traffic_15m SET count = count + %s WHERE store_id = 'S01' AND quarter >= %s", (people, TODAY)
            )
            dirty.mark(conn, "S01", [NOW], "ingest")

    def meanwhile(self: FactsService, *given: Any) -> Any:
        writer = Thread(target=come_in, args=(500,))
        writer.start()
        writer.join()
        return of_store(self, *given)

    client = as_user("manager")
    client.timeout = httpx.Timeout(60)
    before = client.get("/stores/S01").text
    with monkeypatch.context() as patched:
        # The page asks for it after the tiles' figures and before the days' and the week's.
        patched.setattr(FactsService, "of_store", meanwhile)
        made = client.get("/stores/S01").text
    after = client.get("/stores/S01").text
    come_in(-500)
    with shop.services.db.transaction() as conn:
        conn.execute("DELETE FROM dirty_mark")
    assert _tile(before) == _tile(made) == _strip(before) == _strip(made) == _week(before) == _week(made)
    assert _tile(after) == _strip(after) == _week(after) > _tile(made) + 500


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _tile(page: str) -> int:
    found = re.search(r'data-live="visitors">([^<]*)<', page)
    assert found is not None
    return _number(found.group(1))


def _strip(page: str) -> int:
    """Today in the last two weeks."""
    found = re.search(r'<li class="today">.*?<b>([^<]*)</b>', page, re.DOTALL)
    assert found is not None
    return _number(found.group(1))


def _week(page: str) -> int:
    """Today in the week by the hour, all hours together."""
    found = re.search(r'<tr class="today">(.*?)</tr>', page, re.DOTALL)
    assert found is not None
    return sum(_number(each) for each in re.findall(r">~?([\d,]+)</a>", found.group(1)))
