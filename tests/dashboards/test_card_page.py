"""A member's card on a phone without signing in, and at the desk for a printer."""

from collections.abc import Callable

import httpx

from server.access.models import Scope
from tests.dashboards.conftest import Shop

SYSTEM = Scope.system("tests")


def _member(shop: Shop) -> tuple[str, str]:
    (found,) = shop.services.membership.search(SYSTEM, "13800138000")
    return str(found.member_id), found.card_no


def test_whoever_has_the_address_sees_card_and_code_and_no_name(visitor: httpx.Client, shop: Shop) -> None:
    member_id, card_no = _member(shop)
    found = shop.services.membership.find_by_card(SYSTEM, card_no)
    assert found is not None
    made = shop.services.members.links.open(SYSTEM, found.member_id)
    page = visitor.get(made.path)
    assert page.status_code == 200
    assert f"{card_no[:4]} {card_no[4:7]} {card_no[7:]}" in page.text
    assert 'class="id-card-ink" d="M0 0h7v1H0z' in page.text
    key = made.path.removeprefix("/c/")
    for secret in (found.name, found.phone, "138****", member_id, key):
        assert secret not in page.text, secret
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["x-robots-tag"] == "noindex, nofollow"
    assert page.headers["cache-control"] == "no-store"
    shop.services.members.links.revoke(SYSTEM, found.member_id, made.link_id)
    closed = visitor.get(made.path)
    assert closed.status_code == 404
    assert card_no not in closed.text
    chinese = visitor.get(made.path, headers={"accept-language": "zh-CN"})
    assert (chinese.status_code, chinese.headers["content-language"]) == (404, "zh-Hans")


def test_a_desk_prints_the_card_and_a_stranger_does_not(
    as_user: Callable[[str], httpx.Client], visitor: httpx.Client, shop: Shop
) -> None:
    member_id, card_no = _member(shop)
    page = as_user("desk").get(f"/desk/members/{member_id}/card")
    assert page.status_code == 200
    assert "true-size" in page.text
    assert f"{card_no[:4]} {card_no[4:7]} {card_no[7:]}" in page.text
    assert "css/card.css" in page.text
    assert visitor.get(f"/desk/members/{member_id}/card").status_code == 303
