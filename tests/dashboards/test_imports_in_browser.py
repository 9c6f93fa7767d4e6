"""Files brought in by hand in a real browser: looked at, a column put right, imported, corrected, sent again."""

import csv
import io
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from openpyxl import Workbook, load_workbook
from playwright.sync_api import FilePayload, Page, Route, expect

from dashboards.viewer import UNASKED_HEADER
from server.sales.models import NewReceipt
from server.sales.repository import lock_stores
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN
from tests.dashboards.test_entry_in_browser import fits
from tests.dashboards.test_in_browser import sign_in
from tests.fixtures.browser import Watch

pytestmark = pytest.mark.browser

#: What a till writes: 实收 is what was paid, 金额 the line's price, and the third row's time is none.
_ROWS = (
    ("单号", "交易时间", "金额", "应付", "收银员"),
    ("IMP-1", "2026-11-20 11:00:00", "90.00", "88.00", "王敏"),
    ("IMP-2", "2026-11-20 11:30:00", "50.00", "45.50", "王敏"),
    ("IMP-3", "昨天中午", "70.00", "70.00", "王敏"),
)


#: Looks while it is shown, hidden, shown again, and long after anything changed.
_POLLING = """async (url) => {
    const { poll, SAME } = await import(url);
    window.looks = 0;
    poll(async () => { window.looks += 1; return SAME; }, 1000);
    window.hide = (is) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => is });
        document.dispatchEvent(new Event("visibilitychange"));
    };
}"""

#: Notes how much of a file goes out to be looked at.
_LOOKED = """() => {
    const own = window.fetch;
    window.fetch = (address, how) => {
        window.looked = how?.body?.get("file")?.size;
        return own(address, how);
    };
}"""


@pytest.fixture(autouse=True)
def _as_it_was(shop: Shop) -> Iterator[None]:
    yield
    with shop.services.db.transaction() as conn:
        conn.execute("DELETE FROM receipt_line WHERE receipt_no LIKE 'IMP-%'")
        conn.execute("DELETE FROM receipt WHERE receipt_no LIKE 'IMP-%'")
        conn.execute("DELETE FROM receipt_conflict")
        conn.execute("DELETE FROM sales_import")
        conn.execute("DELETE FROM member_import")
        conn.execute("DELETE FROM till_format")
        conn.execute("DELETE FROM exchange_rate")
        conn.execute("DELETE FROM dirty_mark")


def as_csv(rows: tuple[tuple[str, ...], ...]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode("gb18030")


def as_workbook(rows: tuple[tuple[str, ...], ...]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def put_right(file: Path) -> tuple[str, bytes]:
    """What stands in a file of refused rows, and the file with the time corrected."""
    if file.suffix == ".csv":
        text = file.read_text("utf-8-sig")
        return text, text.replace("昨天中午", "2026-11-20 12:00").encode()
    book = load_workbook(file)
    cells = [cell for row in book.worksheets[0].iter_rows() for cell in row]
    text = " ".join(str(cell.value) for cell in cells)
    for cell in cells:
        if cell.value == "昨天中午":
            cell.value = "2026-11-20 12:00"
    out = io.BytesIO()
    book.save(out)
    return text, out.getvalue()


def gross_of(shop: Shop, number: str) -> Decimal | None:
    with shop.services.db.read() as conn:
        row = conn.execute("SELECT gross FROM receipt WHERE receipt_no = %s", (number,)).fetchone()
    return None if row is None else row[0]


@pytest.mark.parametrize(("name", "content"), [("till.csv", as_csv(_ROWS)), ("till.xlsx", as_workbook(_ROWS))])
def test_a_wrong_column_is_put_right_and_refused_rows_come_back_corrected(
    page: Page, shop: Shop, tmp_path: Path, name: str, content: bytes
) -> None:
    sign_in(page, shop, "hq")
    page.get_by_role("link", name="导入").click()
    page.locator("#file").set_input_files({"name": name, "mimeType": "text/csv", "buffer": content})
    page.get_by_role("button", name="预览文件").click()
    expect(page.locator("#look")).to_contain_text("90.00")
    # The line's price was taken for the total: the right column is chosen, and the receipts follow.
    page.get_by_label("“金额”列对应").select_option("")
    page.get_by_label("“应付”列对应").select_option("gross")
    receipts = page.locator("section", has=page.get_by_role("heading", name="识别出的小票")).locator("tbody")
    expect(receipts.locator("tr").first).to_contain_text("88.00")
    expect(page.locator(".wrongs")).to_contain_text("日期时间")
    fits(page)
    page.locator("#name").fill("收银一号")
    page.get_by_role("button", name="保存列").click()
    expect(page.locator("#said")).to_contain_text("列的对应已保存")
    expect(page.locator("#till")).to_have_value("收银一号")
    page.get_by_role("button", name="导入文件").click()
    expect(page.get_by_role("heading", name="完成")).to_be_visible()
    expect(page.locator("#job")).to_contain_text("昨天中午")
    fits(page)
    assert [gross_of(shop, f"IMP-{number}") for number in (1, 2, 3)] == [Decimal(88), Decimal("45.50"), None]

    with page.expect_download() as waiting:
        page.get_by_role("link", name="下载这些行").click()
    # Who sent a workbook gets one back.
    taken = tmp_path / f"errors{Path(name).suffix}"
    assert waiting.value.suggested_filename.endswith(taken.suffix)
    waiting.value.save_as(taken)
    text, corrected = put_right(taken)
    assert "昨天中午" in text
    assert "IMP-1" not in text
    page.get_by_role("link", name="上传更正后的文件").click()
    page.locator("#till").select_option("收银一号")
    page.locator("#file").set_input_files(
        {
            "name": f"corrected{taken.suffix}",
            "mimeType": "text/csv",
            "buffer": corrected,
        }
    )
    # Choosing the file is enough: the look follows by itself, by the columns of the saved till.
    expect(page.get_by_label("“应付”列对应")).to_have_value("gross")
    page.get_by_role("button", name="导入文件").click()
    expect(page.get_by_role("heading", name="完成")).to_be_visible()
    expect(page.locator("#job")).to_contain_text("所有行都已导入")
    assert gross_of(shop, "IMP-3") == 70


def test_a_file_at_work_is_watched_and_stopped(page: Page, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else writes the store's receipts at the moment, so the file waits where the test wants it to."""
    rows = [("单号", "交易时间", "金额"), *((f"IMP-{n}", "2026-11-20 11:00:00", "90.00") for n in range(300))]
    # Of a long file its beginning is looked at, up to the end of a row; what is brought in is all of it.
    long = as_csv(tuple(rows)) + b"".join(f"IMP-{n},2026-11-20 11:00:00,90.00\r\n".encode() for n in range(300, 75_000))
    monkeypatch.setattr(shop.services.imports, "slice_rows", 100)
    sign_in(page, shop, "hq", "en")
    page.goto("/imports")
    page.evaluate(_LOOKED)
    with page.expect_response("**/imports/receipts/preview"):
        page.locator("#file").set_input_files({"name": "long.csv", "mimeType": "text/csv", "buffer": long})
    assert len(long) > (2 << 20) >= page.evaluate("window.looked") > (2 << 20) - 100
    expect(page.locator("#look")).to_contain_text("90.00")
    expect(page.locator(".wrongs")).to_have_count(0)

    taken, progress = page.locator("#progress dd").first, page.locator("#progress")
    with ExitStack() as meanwhile:
        lock_stores(meanwhile.enter_context(shop.services.db.transaction()), ["S01"])
        # What the page asks by itself says so: watching a file does not keep its reader signed in.
        with page.expect_request(lambda asked: UNASKED_HEADER.lower() in asked.headers):
            page.get_by_role("button", name="Import the file").click()
            expect(progress).to_contain_text("Waiting for its turn")
        # Somebody has their finger on Stop while the numbers beside it move: the button stays the one it was.
        page.get_by_role("button", name="Stop").evaluate("each => { each.mine = true; each.focus(); }")
        again = ExitStack()
        with again:
            meanwhile.close()
            lock_stores(again.enter_context(shop.services.db.transaction()), ["S01"])
            expect(progress).to_contain_text("At work")
            expect(taken).not_to_have_text("0")
            stop = page.get_by_role("button", name="Stop")
            expect(stop).to_be_focused()
            assert stop.evaluate("each => each.mine")
            stop.click()
            expect(progress).to_contain_text("Stopping")
            expect(page.get_by_role("button", name="Stop")).to_be_disabled()
            fits(page)
    # Let go, it stops after the slice at hand, and the page says so by itself.
    expect(progress).to_contain_text("Stopped before its end")
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    (job,) = shop.services.imports.jobs(ADMIN)
    assert job.state == "cancelled"
    assert 100 <= job.rows < 1_000
    assert taken.inner_text() == str(job.rows)
    assert gross_of(shop, "IMP-0") == 90
    assert gross_of(shop, "IMP-70000") is None


def test_members_of_an_old_system_are_tried_then_enrolled(page: Page, shop: Shop) -> None:
    rows = (
        ("会员编号", "称呼", "手机", "积分"),
        ("OLD-1", "周杰", "13912340001", "120"),
        ("OLD-2", "吴琳", "139123", "0"),
    )
    sign_in(page, shop, "hq")
    page.goto("/imports/members")
    page.locator("#file").set_input_files({"name": "old.csv", "mimeType": "text/csv", "buffer": as_csv(rows)})
    page.get_by_role("button", name="预览文件").click()
    expect(page.locator("#look")).to_contain_text("缺少必需的列")
    page.get_by_label("“称呼”列对应").select_option("name")
    page.locator("#basis").fill("2024 年起在门店签署的会员协议")
    fits(page)
    page.get_by_role("button", name="只试运行，不保存").click()
    expect(page.get_by_role("heading", name="完成")).to_be_visible()
    expect(page.locator("#job")).to_contain_text("手机号：不完整")
    assert shop.services.membership.find_by_phone(ADMIN, "13912340001") is None
    fits(page)
    page.get_by_role("link", name="全部文件").click()
    expect(page.locator("#files")).to_contain_text("试运行")
    page.locator("#file").set_input_files({"name": "old.csv", "mimeType": "text/csv", "buffer": as_csv(rows)})
    page.get_by_role("button", name="预览文件").click()
    page.get_by_label("“称呼”列对应").select_option("name")
    page.locator("#basis").fill("2024 年起在门店签署的会员协议")
    page.get_by_role("button", name="全部入会").click()
    expect(page.get_by_role("heading", name="完成")).to_be_visible()
    made = shop.services.membership.find_by_phone(ADMIN, "13912340001")
    assert made is not None
    assert (made.name, shop.services.points.balance(ADMIN, made.member_id).balance) == ("周杰", 120)
    shop.services.members.erasures.erase(ADMIN, made.member_id, "of a test")


def test_a_page_nobody_sees_asks_for_nothing(page: Page, shop: Shop) -> None:
    def looks() -> int:
        return int(page.evaluate("window.looks"))

    sign_in(page, shop, "hq", "en")
    page.goto("/imports")
    script = page.locator('script[src$="parts.js"]').get_attribute("src") or ""
    page.clock.install()
    page.evaluate(_POLLING, script.replace("parts.js", "polling.js"))
    page.clock.run_for(10_500)
    assert looks() == 10
    page.evaluate("window.hide(true)")
    page.clock.run_for(600_000)
    assert looks() == 10
    page.evaluate("window.hide(false)")
    assert looks() == 11  # at once, for whoever came back
    page.clock.run_for(150_000)
    before = looks()
    page.clock.run_for(100_000)
    assert looks() - before == 10  # nothing has changed for two minutes


def test_of_two_contents_the_other_is_chosen(page: Page, shop: Shop, watch: Watch) -> None:
    watch.expected.append("status of 422")

    def sold(gross: str, cashier: str) -> NewReceipt:
        return NewReceipt(
            store_id="S01",
            receipt_no="IMP-9",
            at=shop.clock.now,
            gross=Decimal(gross),
            units=Decimal(1),
            cashier=cashier,
        )

    shop.services.sales.post_receipts(ADMIN, [sold("20.00", "王敏")])
    shop.services.sales.post_receipts(ADMIN, [sold("25.00", "李雷")])
    sign_in(page, shop, "manager", "en")
    page.get_by_role("link", name="Imports").click()
    page.get_by_role("link", name="Conflicts").click()
    page.get_by_role("link", name="IMP-9").click()
    expect(page.locator(".differs", has_text="Cashier")).to_contain_text("李雷")
    page.get_by_role("button", name="Decide").click()
    expect(page.get_by_text("Say why, in at most 500 letters.")).to_be_visible()
    page.get_by_text("The other one").click()
    page.locator("#why").fill("The till was set wrong")
    fits(page)
    page.get_by_role("button", name="Decide").click()
    expect(page.get_by_role("status")).to_contain_text("the other content is kept now")
    with shop.services.db.read() as conn:
        books = conn.execute(
            "SELECT gross, kind, voided_at IS NOT NULL FROM receipt WHERE receipt_no LIKE 'IMP-9%' ORDER BY kind, gross"
        ).fetchall()
        (why,) = conn.execute("SELECT resolution FROM receipt_conflict").fetchone() or ("",)
    assert [(gross, kind, voided) for gross, kind, voided in books if kind == "sale"] == [
        (20, "sale", True),
        (25, "sale", False),
    ]
    assert why == "The till was set wrong"


def test_a_rate_is_entered_and_a_bad_one_refused_beside_its_field(page: Page, shop: Shop, watch: Watch) -> None:
    watch.expected.append("status of 422")
    sign_in(page, shop, "hq", "en")
    page.goto("/imports/rates")
    page.locator("#currency").fill("CNY")
    page.locator("#rate").fill("1")
    page.locator("#valid_from").fill("2026-11-01")
    page.get_by_role("button", name="Enter it").click()
    expect(page.locator("#currency-error")).to_contain_text("three letters")
    page.locator("#currency").fill("HKD")
    page.locator("#rate").fill("0.921")
    page.get_by_role("button", name="Enter it").click()
    expect(page.get_by_role("status")).to_contain_text("The rate is entered")
    fits(page)
    (rate,) = shop.services.rates.rates(ADMIN)
    assert (rate.currency, rate.valid_from, rate.rate) == ("HKD", date(2026, 11, 1), Decimal("0.921"))


def test_a_look_that_fails_says_so_and_imports_nothing(page: Page, shop: Shop, watch: Watch) -> None:
    watch.expected += ["net::ERR_FAILED", "status of 413"]
    rows = (_ROWS[0], _ROWS[1])
    file: FilePayload = {"name": "till.csv", "mimeType": "text/csv", "buffer": as_csv(rows)}
    look, notice = "**/imports/receipts/preview", page.locator("#failed")
    sign_in(page, shop, "hq", "en")
    page.goto("/imports")
    expect(notice).to_be_hidden()
    page.route(look, lambda route: route.abort())
    page.locator("#file").set_input_files(file)
    expect(notice).to_contain_text("Nothing was imported")
    page.unroute(look)
    # An answer that is another page altogether is no silence either.
    page.route(look, lambda route: route.fulfill(status=413, body="too large"))
    page.get_by_role("button", name="Look at the file").click()
    expect(page.locator("form[data-parts]")).not_to_have_attribute("aria-busy", "true")
    expect(notice).to_be_visible()
    page.unroute(look)
    assert shop.services.imports.jobs(ADMIN) == []
    assert page.url.endswith("/imports")

    # The file is chosen still; what is typed while a look is under way stays.
    page.get_by_role("button", name="Look at the file").click()
    expect(page.locator("#look")).to_contain_text("88.00")
    expect(notice).to_be_hidden()
    held: list[Route] = []
    page.route(look, lambda route: held.append(route))
    with page.expect_request(look):
        page.get_by_label("Column 收银员 is").select_option("")
    page.locator("#name").fill("Till one")
    page.wait_for_function("document.activeElement.id === 'name'")
    held[0].continue_()
    expect(page.get_by_label("Column 收银员 is")).to_have_class("input unused")
    expect(page.locator("#name")).to_have_value("Till one")
    page.unroute(look)

    # Who was signed out meanwhile is asked to sign in, and comes back here.
    page.context.clear_cookies()
    page.get_by_role("button", name="Look at the file").click()
    page.wait_for_url("**/sign-in?next=*")
    assert gross_of(shop, "IMP-1") is None
