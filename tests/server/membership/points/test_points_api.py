"""Points and tiers by way of the API and the command line, on the real services."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from cli.main import app
from server import events
from server.membership.points.posting import Posting
from server.membership.tiers.evaluation import TierRun, standings
from server.sales.models import MemberOf, NewLine, NewReceipt
from server.services import Services
from server.settings import Settings
from tests.fixtures.wait import wait_until
from tests.server.conftest import SYSTEM, TurnedClock

PERSON = {
    "name": "张伟",
    "phone": "13800138000",
    "home_store": "S01",
    "consents": [{"purpose": "membership", "granted": True, "wording": "yes"}],
}
POINTS = {"rates": {"CNY": "1"}, "value": {"CNY": "0.01"}, "adjust_limit": 100}
TIERS = {
    "levels": [
        {"slug": "member"},
        {
            "slug": "gold",
            "names": {"zh": "金卡", "en": "Gold"},
            "spend": "500",
            "benefits": {"multiplier": "2", "discount": "5", "birthday_gift": "a cake"},
        },
    ]
}


@pytest.fixture
def as_of(client: TestClient, sign_in: Callable[[str], TestClient]) -> Callable[..., Any]:
    """Ask as somebody: user, method, address, body; the answer, after its status was checked."""

    def asked(user: str, method: str, path: str, body: object = None, status: int = 200) -> Any:
        sign_in(user)
        answer = client.request(method, f"/api/v1{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    return asked


def sell(chain: Services, clock: TurnedClock, card: str, number: str, amount: str) -> None:
    """Sell by way of the till, and let everything follow that follows."""
    line = NewLine(sku="tea", unit_price=Decimal(amount))
    receipt = NewReceipt(store_id="S01", receipt_no=number, at=clock.now, lines=[line], member=MemberOf(card=card))
    assert chain.sales.post_receipts(SYSTEM, [receipt]).accepted == 1

    def followed() -> bool:
        Posting(chain.db, standings, clock).run(Event())
        TierRun(chain.db, clock).follow(Event())
        with chain.db.read() as conn:
            return all(lag.oldest is None for lag in events.lags(conn) if lag.consumer in {"points", "tiers"})

    wait_until(followed, 60, "points and tiers to have followed")


def test_from_the_till_to_the_desk(chain: Services, clock: TurnedClock, as_of: Callable[..., Any]) -> None:
    saved = as_of("hq", "POST", "/points/rules", {"rules": POINTS, "reason": "the first"}, 201)
    assert (saved["saved"]["version"], saved["saved"]["made_by"], saved["rules"]["rates"]) == (1, "hq", {"CNY": "1"})
    tried = as_of("hq", "POST", "/tiers/simulate", {"rules": TIERS})
    assert (tried["members"], tried["moving"]) == (0, 0)
    as_of("hq", "POST", "/tiers/rules", {"rules": TIERS, "reason": "a ladder"}, 201)
    member = as_of("desk", "POST", "/members", PERSON, 201)
    member_id, card = member["member_id"], member["card_no"]
    sell(chain, clock, card, "R1", "600")
    clock.turn(minutes=5)
    sell(chain, clock, card, "R2", "100")

    assert as_of("desk", "GET", f"/members/{member_id}/points")["balance"] == 800
    tier = as_of("desk", "GET", f"/members/{member_id}/tier")
    assert (tier["tier"], tier["multiplier"], tier["discount"], tier["done"]["spend"]) == ("gold", "2", "5", "700.00")
    # The other store's desk knows the member by card alone.
    as_of("desk2", "GET", f"/members/{member_id}/points", status=404)
    look = {"store_id": "S02", "member": {"card": card}}
    seen = as_of("desk2", "POST", "/points/look", look)
    assert (seen["balance"], seen["tier"]) == (
        800,
        {
            "tier": "gold",
            "names": {"en": "Gold", "zh": "金卡"},
            "discount": "5",
            "multiplier": "2",
            "birthday_gift": "a cake",
        },
    )
    spend = {**look, "points": 300, "key": "desk2-first-time"}
    done = as_of("desk2", "POST", "/points/redemptions", spend, 201)
    assert (done["entry"]["balance"], done["worth"]) == (500, {"currency": "CNY", "amount": "3.00"})
    assert as_of("desk2", "POST", "/points/redemptions", spend, 201) == done
    assert as_of("desk2", "POST", "/points/redemptions", {**spend, "points": 1}, 409)["error"]["field"] == "key"
    short = as_of("desk2", "POST", "/points/redemptions", {**spend, "points": 501, "key": "desk2-second"}, 409)
    assert short["error"]["detail"] == {"balance": "500", "pending": "0"}
    number = done["entry"]["entry_id"]
    back = {"key": "desk2-takes-back", "reason": "wrong customer"}
    as_of("desk", "POST", f"/points/redemptions/{number}/void", back, 404)
    assert as_of("desk2", "POST", f"/points/redemptions/{number}/void", back, 201)["balance"] == 800
    entries = as_of("desk", "GET", f"/members/{member_id}/points/entries")
    assert [entry["kind"] for entry in entries] == ["void", "redeem", "earn", "earn"]

    asked = {"points": 5000, "reason": "a complaint", "key": "manager-asks-1"}
    as_of("desk", "POST", f"/members/{member_id}/points/adjustments", asked, 403)
    waiting = as_of("manager", "POST", f"/members/{member_id}/points/adjustments", asked, 201)
    request = waiting["request"]["request_id"]
    as_of("manager", "POST", f"/points/requests/{request}/decision", {"decision": "approved"}, 403)
    assert [each["request_id"] for each in as_of("hq", "GET", "/points/requests")] == [request]
    as_of("hq", "POST", f"/points/requests/{request}/decision", {"decision": "approved"})
    assert as_of("desk", "GET", f"/members/{member_id}/points")["balance"] == 5800

    owed = as_of("hq", "GET", "/points/liability?currency=CNY")
    assert (owed["points"], owed["worth"]) == (5800, "58.00")
    assert as_of("hq", "GET", "/points/check") == []
    as_of("manager", "GET", "/points/liability?currency=CNY", status=403)
    as_of("manager", "GET", "/points/rules/history", status=403)
    given = as_of("manager", "POST", f"/members/{member_id}/tier", {"tier": "member", "reason": "asked for it"}, 201)
    assert given["tier"] == "member"
    actions = {entry.action for entry in chain.access.audit_trail(SYSTEM, limit=100)}
    assert {
        "points.rules",
        "tier.rules",
        "points.redeemed",
        "points.voided",
        "points.adjusted",
        "tier.given",
    } <= actions


def test_by_the_command_line(
    chain: Services,
    clock: TurnedClock,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    as_of: Callable[..., Any],
) -> None:
    monkeypatch.setenv("DOORLINE_DSN", settings.dsn.get_secret_value())
    monkeypatch.setenv("DOORLINE_SECRET_KEY", settings.secret_key.get_secret_value())
    monkeypatch.chdir(tmp_path)
    runner = CliRunner(env={"COLUMNS": "200"})

    def run(*words: str, code: int = 0) -> str:
        result = runner.invoke(app, list(words))
        assert result.exit_code == code, result.output
        return result.output

    (tmp_path / "points.json").write_text('{"rates": {"CNY": "1"}, "value": {"CNY": "0.5"}, "adjust_limit": 10}')
    (tmp_path / "tiers.json").write_text('{"levels": [{"slug": "member"}, {"slug": "gold", "points": 5}]}')
    (tmp_path / "wrong.json").write_text('{"rates": {"CNY": "-1"}}')
    assert "rates.CNY" in run("points", "rules", "wrong.json", "--dry-run", code=2)
    assert "can be saved" in run("points", "rules", "points.json", "--dry-run")
    assert "version 1" in run("points", "rules", "points.json", "--why", "the first")
    assert '"CNY":"1"' in run("points", "rules")
    card = as_of("desk", "POST", "/members", PERSON, 201)["card_no"]
    assert "balance is 5" in run("points", "adjust", card, "5", "--store", "S01", "--why", "welcome")
    assert "waits for a second" in run("points", "adjust", card, "50", "--store", "S01", "--why", "more")
    assert "more" in run("points", "requests")
    assert "asked for themselves" in run("points", "approve", "1", code=2)
    assert "5 points" in run("points", "show", card, "--store", "S01")
    assert "2.50 CNY" in run("points", "liability", "--currency", "CNY")
    assert "agree" in run("points", "check")
    assert "0 of 1 members would move" in run("tiers", "simulate", "tiers.json")
    assert "version 2" in run("tiers", "rules", "tiers.json", "--why", "a ladder")
    assert '"gold"' in run("tiers", "rules")
    with chain.db.transaction() as conn:
        conn.execute("UPDATE points_account SET balance = 6")
    assert "6, should be 5" in run("points", "check", code=1)
