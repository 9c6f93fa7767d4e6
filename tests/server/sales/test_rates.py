"""Sales in the chain's own currency: each day at its own rate, and what is missing is named."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

from server.access.models import Scope
from server.errors import Forbidden, InvalidInput
from server.sales.models import NewReceipt
from server.sales.rates import MissingRate, NewRate
from server.services import Services
from tests.server.conftest import SYSTEM

D = Decimal


def sell(services: Services, store: str, number: str, at: datetime, gross: str, **more: Any) -> None:
    new = NewReceipt(store_id=store, receipt_no=number, at=at, gross=D(gross), **more)
    assert services.sales.post_receipts(SYSTEM, [new]).accepted == 1


@pytest.fixture
def sold(chain: Services) -> Services:
    """Berlin and Shanghai over two days; the Berlin receipt of half past two at night is of the day before."""
    sell(chain, "S01", "1", datetime(2026, 11, 18, 4, tzinfo=UTC), "100", tax=D(10), tax_included=True)
    sell(chain, "S01", "2", datetime(2026, 11, 18, 5, tzinfo=UTC), "20", kind="refund", tax=D(2), tax_included=True)
    sell(chain, "S01", "3", datetime(2026, 11, 18, 6, tzinfo=UTC), "7", channel="online", tax=D(0), tax_included=True)
    sell(chain, "B01", "1", datetime(2026, 11, 18, 12, tzinfo=UTC), "10")
    sell(chain, "B01", "2", datetime(2026, 11, 19, 1, 30, tzinfo=UTC), "10")
    sell(chain, "B01", "3", datetime(2026, 11, 19, 12, tzinfo=UTC), "10")
    sell(chain, "B01", "4", datetime(2026, 11, 19, 12, tzinfo=UTC), "1000")
    sell(chain, "B01", "V4", datetime(2026, 11, 19, 13, tzinfo=UTC), "0", kind="void", refers_to="4")
    return chain


def rate(day: str, value: str, currency: str = "EUR") -> NewRate:
    return NewRate(currency, date.fromisoformat(day), D(value))


def test_each_day_has_its_own_rate_and_a_missing_one_is_named(sold: Services) -> None:
    first, last = date(2026, 11, 18), date(2026, 11, 19)
    bare = sold.rates.totals(SYSTEM, first, last)
    assert (bare.total, bare.missing) == (None, [MissingRate("EUR", first, last)])
    berlin, shanghai = bare.stores
    assert (berlin.gross, berlin.reporting, berlin.receipts) == (D(30), None, 3)
    assert (shanghai.gross, shanghai.refunds, shanghai.reporting) == (D(107), D(20), D(87))
    assert shanghai.net_of_tax == D(100 - 10 + 7 - 20 + 2)
    assert berlin.net_of_tax is None

    assert sold.rates.put(SYSTEM, [rate("2026-11-19", "8")]) == 1
    assert sold.rates.totals(SYSTEM, first, last).missing == [MissingRate("EUR", first, first)]
    assert sold.rates.put(SYSTEM, [rate("2026-11-01", "7.5")]) == 1
    told = sold.rates.totals(SYSTEM, first, last)
    assert told.missing == []
    assert told.stores[0].reporting == D("20") * D("7.5") + D(10) * 8
    assert told.total == D(230) + D(87)
    assert sold.rates.totals(SYSTEM, first, last, channel="online").total == D(7)


def test_a_rate_entered_anew_replaces_and_what_it_was_stands_on_record(sold: Services) -> None:
    assert sold.rates.put(SYSTEM, [rate("2026-11-01", "7.5"), rate("2026-11-02", "7.6")]) == 2
    assert sold.rates.put(SYSTEM, [rate("2026-11-01", "7.5"), rate("2026-11-02", "7.7")]) == 1
    entry = sold.access.audit_trail(SYSTEM, 1)[0]
    assert (entry.action, entry.subject) == ("rate.entered", "EUR/CNY/2026-11-02")
    assert D(str(entry.detail["was"])) == D("7.6")
    assert [each.rate for each in sold.rates.rates(SYSTEM, "EUR")] == [D("7.7"), D("7.5")]


def test_a_file_is_taken_whole_or_not_at_all(chain: Services) -> None:
    text = "\ufeffcurrency,valid_from,rate\nEUR,2026-11-01,7.8123456789\nUSD,2026-11-01,7.1\n"
    assert chain.rates.import_csv(SYSTEM, text) == 2
    assert chain.rates.rates(SYSTEM, "EUR")[0].rate == D("7.8123456789")
    with pytest.raises(InvalidInput, match="line 3"):
        chain.rates.import_csv(SYSTEM, "currency,valid_from,rate\nEUR,2026-11-05,7\nUSD,05.11.2026,7\n")
    assert len(chain.rates.rates(SYSTEM)) == 2
    with pytest.raises(InvalidInput, match="no column rate"):
        chain.rates.import_csv(SYSTEM, "currency,valid_from\n")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (rate("2026-11-01", "0"), "rates[0].rate"),
        (rate("2026-11-01", "-1"), "rates[0].rate"),
        (rate("2026-11-01", "NaN"), "rates[0].rate"),
        (rate("2026-11-01", "1.00000000001"), "rates[0].rate"),
        (rate("2026-11-01", "1", "CNY"), "rates[0].currency"),
        (rate("2026-11-01", "1", "EURO"), "rates[0].currency"),
        (rate("1026-11-01", "1"), "rates[0].valid_from"),
    ],
)
def test_what_is_no_rate_is_refused(chain: Services, wrong: NewRate, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        chain.rates.put(SYSTEM, [wrong])
    assert refused.value.field == field


def test_rates_are_the_whole_chains_and_sums_are_of_the_own_stores(
    sold: Services, scope_of: Callable[[str], Scope], sign_in: Callable[[str], TestClient]
) -> None:
    manager = scope_of("manager")
    with pytest.raises(Forbidden):
        sold.rates.put(manager, [rate("2026-11-01", "7")])
    day = date(2026, 11, 18)
    assert [each.store_id for each in sold.rates.totals(manager, day, day).stores] == ["S01"]
    with pytest.raises(Forbidden):
        sold.rates.totals(manager, day, day, store_ids=["B01"])
    hq = sign_in("hq")
    body = {"rates": [{"currency": "EUR", "valid_from": "2026-11-01", "rate": "7.5"}]}
    assert hq.post("/api/v1/rates", json=body).json() == {"changed": 1}
    assert hq.post("/api/v1/rates/csv", content="currency,valid_from,rate\nUSD,2026-11-01,7\n").json() == {"changed": 1}
    assert [each["currency"] for each in hq.get("/api/v1/rates").json()] == ["EUR", "USD"]
    told = hq.get("/api/v1/receipts/totals?from=2026-11-18&to=2026-11-19").json()
    assert (told["currency"], told["missing"], D(told["total"])) == ("CNY", [], D(30) * D("7.5") + 87)
    assert hq.get("/api/v1/receipts/totals?from=2026-11-18&to=2026-11-17").status_code == 422
