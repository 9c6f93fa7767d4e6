"""The page of one member for managers: twins merged and parted, data handed out and erased, and who may."""

import json
import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from dashboards.members.rights_page import told_of
from server.membership.models import NewMember
from server.membership.wording import standard_consents
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN, PASSWORD

_HOME = "/members/people"


class Reader:
    """Somebody signed in, reading English, who follows no redirect."""

    def __init__(self, shop: Shop, who: str) -> None:
        self.client = TestClient(shop.app, follow_redirects=False)
        assert self.client.post("/sign-in", data={"username": who, "password": PASSWORD}).status_code == 303
        session = shop.services.access.session(self.client.cookies["doorline_session"])
        assert session is not None
        shop.services.access.set_locale(session.scope, "en")
        self.token = session.csrf

    def get(self, path: str) -> Response:
        return self.client.get(path)

    def post(self, path: str, **data: str) -> Response:
        return self.client.post(path, data={"csrf_token": self.token, **data})

    def done(self, path: str, **data: str) -> str:
        """The page that a form which was taken leads to."""
        answer = self.post(path, **data)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])


@pytest.fixture
def reader(shop: Shop) -> Callable[[str], Reader]:
    return lambda who: Reader(shop, who)


def _enrol(shop: Shop, name: str, phone: str, store: str = "S01") -> UUID:
    new = NewMember(name, phone, store, standard_consents("zh", marketing=False), birthday=date(1988, 8, 8))
    return shop.services.membership.enrol(ADMIN, new).member_id


def test_twins_are_found_told_merged_and_parted(shop: Shop, reader: Callable[[str], Reader]) -> None:
    one, two = _enrol(shop, "司马相如", "13911110001"), _enrol(shop, "司马相如", "13911110002")
    card = shop.services.value_cards.open(ADMIN, "S01", "person-twins", member_id=two)
    shop.services.stored_value.top_up(ADMIN, card.card_id, "S01", Decimal(80), "person-twins")
    manager = reader("manager")
    assert "司马相如" in manager.get(_HOME).text, "possible twins stand on the room's page"
    assert manager.done(_HOME, q="13911110001") == f"{_HOME}/{one}"
    several = manager.post(_HOME, q="司马相如").text
    assert several.count(f'href="{_HOME}/{two}"') == 2, "once found, once as a twin"
    page = manager.get(f"{_HOME}/{one}").text
    assert f'value="{two}"' in page

    told = manager.post(f"{_HOME}/{one}/merge", other=str(two)).text
    assert "80.00 principal" in told
    assert shop.services.membership.member(ADMIN, two).member_id == two, "nothing is merged by looking"
    assert "Say why" in manager.post(f"{_HOME}/{one}/merge", other=str(two), sure="yes").text
    there = manager.done(f"{_HOME}/{one}/merge", other="13911110002", reason="same person", sure="yes")
    assert shop.services.membership.member(ADMIN, two).member_id == one
    assert f'value="{two}"' not in manager.get(there).text
    refused = manager.post(f"{_HOME}/{one}/merge", other=str(two), reason="again", sure="yes")
    assert refused.status_code == 422
    assert "This is the same member." in refused.text

    page = manager.get(f"{_HOME}/{one}").text
    merge_id = re.search(r'name="merge_id" value="(\d+)"', page)
    assert merge_id is not None
    stranger = shop.chain.members[0]
    assert manager.post(f"{_HOME}/{stranger}/unmerge", merge_id=merge_id[1]).status_code == 422
    manager.done(f"{_HOME}/{one}/unmerge", merge_id=merge_id[1])
    assert shop.services.membership.member(ADMIN, two).member_id == two
    assert "undone by manager" in manager.get(f"{_HOME}/{one}").text
    assert manager.post(f"{_HOME}/{one}/unmerge", merge_id=merge_id[1]).status_code == 422

    manager.done(f"{_HOME}/{one}/apart", other=str(two))
    assert "Nobody else has this name" in manager.get(f"{_HOME}/{one}").text
    assert f'href="{_HOME}/{one}"' in manager.get(f"/desk/members/{one}").text
    assert f'href="{_HOME}/{one}"' not in reader("desk").get(f"/desk/members/{one}").text
    nobody = manager.post(f"{_HOME}/{one}/merge", other="13999999999")
    assert (nobody.status_code, "Nobody your stores know" in nobody.text) == (422, True)
    # A member of a sister shop is neither opened nor merged by a whole number.
    other = _enrol(shop, "卓文君", "13911110003", "S02")
    assert "Nobody your stores know" in manager.post(_HOME, q="13911110003").text
    assert manager.post(f"{_HOME}/{one}/merge", other="13911110003").status_code == 422
    assert manager.get(f"{_HOME}/{other}").status_code == 404
    assert reader("desk").get(f"{_HOME}/{one}").status_code == 403


def test_data_are_handed_out_and_a_member_is_erased_with_a_receipt(shop: Shop, reader: Callable[[str], Reader]) -> None:
    who = _enrol(shop, "班昭", "13911110011")
    card = shop.services.value_cards.open(ADMIN, "S01", "person-erase", member_id=who)
    shop.services.stored_value.top_up(ADMIN, card.card_id, "S01", Decimal(60), "person-erase")
    manager, path = reader("manager"), f"{_HOME}/{who}"
    kept = json.loads(manager.post(f"{path}/export", kind="json").content)
    assert "+8613911110011" in json.dumps(kept)
    paper = manager.post(f"{path}/export", kind="pdf")
    assert paper.content.startswith(b"%PDF")
    assert paper.headers["content-disposition"].startswith("attachment")
    assert reader("other").post(f"{path}/export", kind="json").status_code == 404

    assert "Say why" in manager.post(f"{path}/erase").text
    held = manager.post(f"{path}/erase", why="asked for it")
    assert "Not yet" in held.text
    assert 'name="sure"' not in held.text
    member = shop.services.membership.member(ADMIN, who)
    forced = manager.post(f"{path}/erase", why="asked for it", sure=told_of(member))
    assert forced.status_code == 409
    shop.services.stored_value.pay_out(ADMIN, card.card_id, "S01", None, "person-paid", reason="erased")

    told = manager.post(f"{path}/erase", why="asked for it").text
    assert f"Erase 班昭, card {member.card_no}" in told
    assert "Receipts, the books of points" in told
    assert "for good?" in manager.post(f"{path}/erase", why="asked for it", sure="another card").text
    assert shop.services.membership.member(ADMIN, who).name == "班昭"
    # Somebody merged into her after the page told whom it takes is not taken with her.
    late = _enrol(shop, "曹大家", "13911110012")
    shown = re.search(r'name="sure" value="([0-9a-f]+)"', told)
    assert shown is not None
    shop.services.members.merging.merge(ADMIN, who, late, "the same person")
    anew = manager.post(f"{path}/erase", why="asked for it", sure=shown[1]).text
    assert "and 1 member merged into it" in anew
    member = shop.services.membership.member(ADMIN, who)
    receipt = manager.done(f"{path}/erase", why="asked for it", sure=told_of(member))
    page = manager.get(receipt).text
    proven = ("The signature is ours", "Nothing names the person", "The books say what they said", "numbers of cards")
    assert [words for words in proven if words not in page] == []
    assert "班昭" not in page
    assert manager.get(path).status_code == 404
    with shop.services.db.transaction() as conn:
        conn.execute('UPDATE member_erasure SET receipt = receipt || \'{"reason": "other"}\'::jsonb')
    assert "The signature is not ours" in manager.get(receipt).text
    assert reader("desk").get(receipt).status_code == 403
