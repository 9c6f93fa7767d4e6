"""`doorline coupons` and `doorline stored-value`, as a person types them."""

import json
from pathlib import Path

from tests.cli.test_central import environment, run

__all__ = ["environment"]


def test_a_coupon_is_added_from_a_file_issued_counted_and_ended(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "ten.json"
    file.write_text('{"title": {"en": "Ten off"}, "kind": "amount", "currency": "CNY", "valeu": 1, "valid_days": 30}')
    wrong = run(environment, "coupons", "add", str(file))
    assert wrong.exit_code == 2
    assert "valeu" in wrong.output
    promise = {"title": {"en": "Ten off"}, "kind": "amount", "currency": "CNY", "value": "10", "valid_days": 30}
    file.write_text(json.dumps({**promise, "asks_consent": False}))
    assert "can be added" in run(environment, "coupons", "add", str(file), "--dry-run").output
    assert run(environment, "coupons", "list").stdout == "There are none.\n"
    assert run(environment, "coupons", "add", str(file)).stdout == "Added as 1.\n"
    nobody = run(environment, "coupons", "issue", "1", "6201234567")
    assert nobody.exit_code == 2
    assert "no member has this card" in nobody.output
    everybody = run(environment, "coupons", "group", "1", "--key", "all-of-them")
    assert everybody.stdout == "0 issued; 0 have not agreed to offers, 0 have had all they may.\n", everybody.output
    assert "Ten off" in run(environment, "coupons", "list").stdout
    assert run(environment, "coupons", "end", "1").exit_code == 0
    assert run(environment, "coupons", "list").stdout == "There are none.\n"
    assert "(ended)" in run(environment, "coupons", "list", "--ended").stdout


def test_what_is_owed_in_stored_value_is_told(environment: dict[str, str]) -> None:
    rules = run(environment, "stored-value", "rules", "--currency", "CNY")
    assert rules.stdout.startswith("most on a member's card: 5,000 CNY\n"), rules.output
    assert run(environment, "stored-value", "liability").stdout == "Nothing is owed.\n"
    days = ("--from", "2026-11-01", "--to", "2026-11-30")
    assert run(environment, "stored-value", "settlement", *days).stdout == "There was nothing.\n"
    refused = run(environment, "stored-value", "settle", "S01", "S02", "ten", "--currency", "CNY")
    assert refused.exit_code == 2
    assert "write it as 120.50" in refused.output
    unknown = run(environment, "stored-value", "settle", "S01", "S02", "10", "--currency", "CNY")
    assert unknown.exit_code == 2
    assert "there is no store" in unknown.output
