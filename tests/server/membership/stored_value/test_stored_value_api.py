"""Stored value over the API: a desk's day, what it is told when something is wrong, and who may do what."""

from collections.abc import Callable
from decimal import Decimal

from fastapi.testclient import TestClient

from server.services import Services
from tests.server.membership.stored_value.counter import enrol, key

SV = "/api/v1/stored-value"
SignIn = Callable[[str], TestClient]


def test_a_desks_day_from_opening_a_card_to_settling(chain: Services, sign_in: SignIn) -> None:
    hq = sign_in("hq")
    rule = {"currency": "CNY", "from_amount": "500", "percent": 10, "store_ids": ["S01"]}
    made = hq.post(f"{SV}/bonus-rules", json=rule)
    assert made.status_code == 201, made.text
    settings = hq.get(f"{SV}/settings/CNY").json()
    assert (settings["cap_registered"], settings["cooling_off_days"]) == ("5000", 7)
    desk = sign_in("desk")
    store = {"store_id": "S01"}
    member = str(enrol(chain))
    card = desk.post(f"{SV}/cards", json={**store, "idempotency_key": key(), "member_id": member}).json()
    path = f"{SV}/cards/{card['card_id']}"
    asked = {**store, "idempotency_key": "t1", "amount": "1000.10", "tender": "alipay"}
    paid_in = desk.post(f"{path}/top-ups", json=asked)
    assert paid_in.status_code == 201, paid_in.text
    assert (paid_in.json()["principal"], paid_in.json()["bonus"]) == ("1000.10", "100.01")
    assert desk.post(f"{path}/top-ups", json=asked).json() == paid_in.json()
    desk2 = sign_in("desk2")
    asked = {"store_id": "S02", "idempotency_key": "p1", "amount": "110"}
    assert desk2.post(f"{path}/purchases", json=asked).status_code == 404, "elsewhere the card is shown"
    bought = desk2.post(f"{path}/purchases", json={**asked, "card_no": card["card_no"]}).json()
    assert (bought["principal"], bought["bonus"], bought["card_no"]) == (
        "-100.00",
        "-10.00",
        f"**** {card['card_no'][-4:]}",
    )
    back = {"store_id": "S02", "idempotency_key": "r1", "posting_id": bought["posting_id"], "amount": "11"}
    assert desk2.post(f"{path}/returns", json=back).json()["amount"] == "11.00"
    found = desk2.post(f"{SV}/cards/find", json={"card_no": card["card_no"]}).json()
    assert found["balance"] == "1001.11"
    assert desk2.get(f"{path}/postings").status_code == 404
    hq = sign_in("hq")
    assert [row["kind"] for row in hq.get(f"{path}/postings").json()] == ["return", "spend", "top_up"]
    period = {"from": "2026-11-01T00:00:00+08:00", "to": "2026-12-01T00:00:00+08:00"}
    (row,) = hq.get(f"{SV}/settlement", params=period).json()
    assert (row["sold_by"], row["served_by"], row["owed"]) == ("S01", "S02", "99.00")
    pay = {"payer": "S01", "payee": "S02", "currency": "CNY", "amount": "99", "idempotency_key": "s1"}
    assert hq.post(f"{SV}/settlements", json=pay).json()["owed_after"] == "0.00"
    (owed,) = hq.get(f"{SV}/liability").json()
    assert Decimal(owed["principal"]) + Decimal(owed["bonus"]) == Decimal("1001.11")
    assert hq.delete(f"{SV}/bonus-rules/{made.json()['rule_id']}").status_code == 204
    assert hq.get(f"{SV}/bonus-rules").json() == []


def test_what_is_wrong_is_said_by_field_and_code(chain: Services, sign_in: SignIn) -> None:
    desk = sign_in("desk")
    store = {"store_id": "S01"}
    card = desk.post(f"{SV}/cards", json={**store, "idempotency_key": key()}).json()
    path, shown = f"{SV}/cards/{card['card_id']}", {**store, "card_no": card["card_no"]}
    cases = [
        (
            desk.post(f"{path}/purchases", json={**shown, "idempotency_key": key(), "amount": 1}),
            409,
            "not_enough_value",
        ),
        (desk.post(f"{path}/top-ups", json={**store, "idempotency_key": key(), "amount": "1000.01"}), 422, "over_cap"),
        (desk.post(f"{path}/top-ups", json={**store, "idempotency_key": key(), "amount": "NaN"}), 422, "invalid_input"),
        (desk.post(f"{path}/top-ups", json={"store_id": "S02", "idempotency_key": "x", "amount": 1}), 403, "forbidden"),
        (desk.post(f"{path}/lapses", json={**store, "idempotency_key": key(), "reason": "x"}), 403, "forbidden"),
        (desk.put(f"{SV}/settings/CNY", json={"cap_registered": None, "cap_unregistered": None}), 403, "forbidden"),
        (desk.post(f"{SV}/cards/find", json={"card_no": "1"}), 404, "not_found"),
        (desk.get(f"{SV}/postings/1"), 404, "not_found"),
    ]
    for answer, status, code in cases:
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
        assert answer.json()["error"]["remedy"] or status == 422
    frozen = desk.post(f"{path}/freeze", json={**store, "reason": "lost"})
    assert frozen.json()["state"] == "frozen"
    spent = desk.post(f"{path}/purchases", json={**shown, "idempotency_key": key(), "amount": 1})
    assert spent.json()["error"]["code"] == "card_not_usable"
