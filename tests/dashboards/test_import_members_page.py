"""A file of members as its page reads it: columns recognised, tried with nothing kept, what is wrong said in words."""

import re
from collections.abc import Callable

import httpx

from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN
from tests.dashboards.test_sign_in import csrf_of
from tests.fixtures.wait import wait_until

FILE = """姓名,手机,归属门店,入会日期,本金,赠金
张伟,13912349001,{store},2021-05-01,1200.50,99.50
李娜,13912349002,nowhere,,,
王五,13912349003,,2999-01-01,,
孙八,13912349004,,,"6,000",
"""


def test_home_day_of_joining_and_stored_value_are_recognised_tried_and_refused_in_words(
    as_user: Callable[[str], httpx.Client], shop: Shop
) -> None:
    client = as_user("hq")
    store = shop.services.stores.stores(ADMIN)[0].store_id
    data = {
        "csrf_token": csrf_of(client.get("/imports/members").text),
        "store_id": store,
        "basis": "membership terms signed in the store, 2024",
        "dry_run": "1",
    }
    content = FILE.format(store=store).encode()

    def send(address: str) -> httpx.Response:
        return client.post(address, data=data, files={"file": ("old.csv", content, "text/csv")})

    looked = send("/imports/members/preview")
    assert looked.status_code == 200
    taken_for = re.findall(r'<option value="(\w+)" selected', looked.text)
    assert {"name", "phone", "store", "enrolled_at", "principal", "bonus"} <= set(taken_for)
    assert "1200.50" in looked.text
    begun = send("/imports/members")
    assert begun.status_code == 303, begun.text
    job = begun.headers["location"]
    page = wait_until(
        lambda: text if '<h2 id="how-title">Done' in (text := client.get(job).text) else None, what="the dry run"
    )
    for words in ("The home store: its id", "The day of joining: write it", "The stored value: an amount"):
        assert words in page
    assert '<dt>opening balances</dt><dd class="value">1</dd>' in page
    assert shop.services.membership.find_by_phone(ADMIN, "13912349001") is None
    rows = client.get(f"{job}/errors.csv").content.decode("utf-8-sig").splitlines()
    assert rows[0].startswith("姓名,手机,归属门店,入会日期,本金,赠金,")
    assert [row.split(",")[1] for row in rows[1:]] == ["13912349002", "13912349003", "13912349004"]
