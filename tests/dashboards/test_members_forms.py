"""HQ's forms for members, as they are sent: what is confirmed is what was shown, and what can't be is said in words."""

import re
from collections.abc import Callable
from decimal import Decimal
from uuid import uuid4

import httpx
import pytest

from server.membership.coupons.models import GroupIssued, NewDefinition
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN
from tests.dashboards.test_sign_in import csrf_of


def test_erasing_is_set_for_the_days_whose_effect_was_shown(as_user: Callable[[str], httpx.Client], shop: Shop) -> None:
    client = as_user("hq")
    token = csrf_of(client.get("/members/form").text)

    def send(days: str, sure: str = "") -> httpx.Response:
        data = {"csrf_token": token, "days": days, "sure": sure}
        return client.post("/members/form/rules/inactive", data=data)

    def sure_of(answer: httpx.Response) -> str:
        found = re.search(r'name="sure" value="(\d+)"', answer.text)
        assert found is not None
        assert "would be erased today" in answer.text
        return found[1]

    shown = sure_of(send("400"))
    assert shown == "400"
    other = send("40", shown)
    assert sure_of(other) == "40", "another number is shown before it is set"
    assert shop.services.members.retention.rules(ADMIN) == []
    try:
        assert send("40", "40").status_code == 303
        assert [(rule.rule, rule.days) for rule in shop.services.members.retention.rules(ADMIN)] == [("inactive", 40)]
    finally:
        shop.services.members.retention.set_rule(ADMIN, "inactive", None)


def test_a_store_pays_another_one_and_days_without_a_neighbour_are_refused(
    as_user: Callable[[str], httpx.Client],
) -> None:
    client = as_user("hq")
    page = client.get("/members/stored-value").text
    names = re.findall(r' id="([^"]+)"', page)
    assert len(names) == len(set(names)), "a label leads into one field"
    data = {"csrf_token": csrf_of(page), "currency": "CNY", "key": "k", "paid": "10", "payer": "S01"}
    same = client.post("/members/stored-value/settlements", data={**data, "payee": "S01"})
    assert same.status_code == 422
    assert "choose two different stores" in same.text
    nobody = client.post("/members/stored-value/settlements", data={**data, "payee": ""})
    assert nobody.status_code == 422
    assert "Choose two stores." in nobody.text
    for asked in ({"since": "2026-11-01", "until": "9999-12-31"}, {"since": "0001-01-01", "until": "2026-11-01"}):
        answer = client.get("/members/stored-value", params=asked)
        assert answer.status_code == 200
        assert "Enter a date" in answer.text


def test_a_group_stays_itself_from_part_to_part(
    as_user: Callable[[str], httpx.Client], shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    titles = {"zh": "优惠券", "en": "A part"}
    new = NewDefinition(title=titles, kind="amount", currency="CNY", value=Decimal(5), valid_days=30)
    promise = shop.services.coupon_definitions.add(ADMIN, new)
    cursor = uuid4()
    monkeypatch.setattr(shop.services.coupon_groups, "issue", lambda *_args, **_more: GroupIssued(2, 0, 0, cursor))
    client = as_user("hq")
    path = f"/members/coupons/{promise.definition_id}"
    token = csrf_of(client.get(path).text)
    done = client.post(f"{path}/group", data={"csrf_token": token, "key": "k", "home_store": "S01", "high": "yes"})
    form = done.text[done.text.index(f'action="{path}/group"') :]
    form = form[: form.index("</form>")]
    held = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form))
    assert held["after"] == str(cursor)
    assert (held["home_store"], held["high"], held["tier"], held["all"]) == ("S01", "yes", "", "")
    assert "<select" not in form
    assert "checkbox" not in form
    assert "Of high value only" in form
    shop.services.coupon_definitions.end(ADMIN, promise.definition_id)
