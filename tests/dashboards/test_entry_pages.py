"""Pages on which people enter things, as a browser sends them: what is kept, what is refused and how it is said."""

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from html import unescape

import httpx
import pytest

from dashboards.entry.runs_page import JOBS
from server.jobs.process import standard_jobs
from server.storage import dirty
from tests.dashboards.conftest import Shop
from tests.dashboards.seed import ADMIN, TODAY

AsUser = Callable[[str], httpx.Client]
STORE = "S02"


@pytest.fixture
def manager(as_user: AsUser) -> httpx.Client:
    """The second store's, signed in."""
    return as_user("other")


@pytest.fixture(autouse=True)
def _as_it_was(shop: Shop) -> Iterator[None]:
    """What a test enters is gone after it: the chain is everybody's."""
    yield
    with shop.services.db.transaction() as conn:
        conn.execute("DELETE FROM roster_day WHERE store_id = %s", (STORE,))
        conn.execute("DELETE FROM correction")
        conn.execute("DELETE FROM opening_exception")
        conn.execute("DELETE FROM holiday")
        conn.execute("DELETE FROM fact WHERE title LIKE 'test %'")
        conn.execute("DELETE FROM silence")
        conn.execute("DELETE FROM job_run")
        conn.execute("DELETE FROM dirty_mark")


def token(client: httpx.Client, path: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(path).text)
    assert found is not None
    return found[1]


def post(client: httpx.Client, page: str, path: str, **fields: object) -> httpx.Response:
    return client.post(path, data={"csrf_token": token(client, page), **fields})


def text_of(answer: httpx.Response) -> str:
    return unescape(re.sub(r"<[^>]+>", " ", answer.text))


def test_an_event_is_noted_shown_and_taken_away(manager: httpx.Client, shop: Shop) -> None:
    page = f"/stores/{STORE}/facts"
    fields = {"kind": "event", "title": "test fair", "day_from": str(TODAY), "day_to": "", "rain_mm": "3.5"}
    answer = post(manager, page, page, **fields)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{page}?note=added")
    assert "test fair" in manager.get(page).text
    assert "test fair" in manager.get(f"/stores/{STORE}").text, "it is a mark of the day"
    (fact,) = [each for each in shop.services.facts.of_store(ADMIN, STORE, TODAY, TODAY) if each.title == "test fair"]
    assert (fact.day_to, str(fact.rain_mm)) == (TODAY, "3.5")
    assert post(manager, page, f"/facts/{fact.fact_id}/removal", store=STORE).status_code == 303
    assert "test fair" not in manager.get(page).text


def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_stays(manager: httpx.Client) -> None:
    page = f"/stores/{STORE}/facts"
    answer = post(manager, page, page, kind="event", title="", day_from="2026-13-01", detail="kept words")
    assert answer.status_code == 422
    assert "Enter a date, such as 2026-11-16." in answer.text
    assert 'value="kept words"' in answer.text
    assert re.search(r'id="day_from"[^>]*aria-invalid="true"', answer.text)
    answer = post(manager, page, page, kind="event", title=" ", day_from=str(TODAY))
    assert "Say in a few words what it was." in answer.text


def test_a_manager_enters_nothing_for_others(manager: httpx.Client, as_user: AsUser) -> None:
    assert manager.get("/stores/S01/facts").status_code == 403
    assert manager.get("/facts").status_code == 403
    assert manager.get("/jobs").status_code == 403
    page = f"/stores/{STORE}/roster"
    assert post(manager, page, "/stores/S01/roster", day=str(TODAY), hours="8").status_code == 403
    assert manager.post(page, data={"day": str(TODAY), "hours": "8"}).status_code == 403, "without its token"
    hq = as_user("hq")
    assert post(hq, "/facts", "/facts", kind="promotion", title="test sale", day_from=str(TODAY)).status_code == 303
    assert "test sale" in manager.get(f"/stores/{STORE}/facts").text


def test_a_roster_of_shifts_of_hours_and_of_nobody(manager: httpx.Client, shop: Shop) -> None:
    page = f"/stores/{STORE}/roster"
    shifts = {"starts": ["10:00", "18:00", ""], "ends": ["18:00", "02:00", ""], "people": ["3", "1.5", ""]}
    answer = post(manager, page, page, day=str(TODAY), notes=["early", "late", ""], **shifts)
    assert answer.status_code == 303, text_of(answer)
    held = shop.services.corrections.roster(ADMIN, STORE, TODAY)
    assert held is not None
    assert [(str(each.people), each.note) for each in held] == [("3.000000", "early"), ("1.500000", "late")]
    assert held[1].ends_at - held[1].starts_at == timedelta(hours=8)
    shown = manager.get(f"{page}?day={TODAY}").text
    assert 'value="18:00"' in shown
    assert 'value="1.5"' in shown
    assert "36.0 h" in text_of(manager.get(f"{page}?day={TODAY}"))
    assert post(manager, page, page, day=str(TODAY), hours="24").status_code == 303
    assert [str(each.people) for each in shop.services.corrections.roster(ADMIN, STORE, TODAY) or []] == ["2.000000"]
    assert post(manager, page, page, day=str(TODAY), nobody="1").status_code == 303
    assert shop.services.corrections.roster(ADMIN, STORE, TODAY) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "Enter shifts, or the day's hours, or say that nobody works."),
        ({"hours": "8", "nobody": "1"}, "one of the three"),
        ({"starts": ["25:00"], "ends": ["18:00"], "people": ["1"], "notes": [""]}, "Enter a time of day"),
        ({"starts": ["10:00"], "ends": ["18:00"], "people": ["0"], "notes": [""]}, "more than 0"),
        ({"hours": "-3"}, "Enter hours from 0 on"),
    ],
    ids=["nothing", "two at once", "no time", "no people", "below zero"],
)
def test_a_roster_that_can_not_be(manager: httpx.Client, shop: Shop, fields: dict[str, object], said: str) -> None:
    page = f"/stores/{STORE}/roster"
    answer = post(manager, page, page, day=str(TODAY), **fields)
    assert answer.status_code == 422
    assert said in text_of(answer)
    assert shop.services.corrections.roster(ADMIN, STORE, TODAY) is None


def test_a_file_with_mistakes_is_put_right_on_the_page(manager: httpx.Client, shop: Shop) -> None:
    page = f"/entries/file?kind=roster&store={STORE}"
    rows = (
        "store,day,from,to,people\n"
        "S02,2026-11-21,10:00,18:00,2\n"
        "S02,2026-11-2x,10:00,18:00,1\n"
        "S02,2026-11-21,14:00,22:00,x\n"
    )
    answer = manager.post(
        "/entries/file",
        data={"csrf_token": token(manager, page), "kind": "roster", "store": STORE},
        files={"file": ("roster.csv", rows.encode(), "text/csv")},
    )
    assert answer.status_code == 422
    assert "2 rows need a look" in answer.text
    assert "Enter a date, such as 2026-11-16." in answer.text
    assert shop.services.corrections.roster(ADMIN, STORE, TODAY) is None, "nothing of it is kept"
    content = unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", answer.text, re.DOTALL)[1])  # type: ignore[index]
    assert re.findall(r'name="rows" value="(\d+)"', answer.text) == ["2", "3"]
    assert len(re.findall(r'name="cells"[^>]*aria-invalid="true"', answer.text)) == 2
    mended = ["S02", "2026-11-21", "10:00", "18:00", "1", "S02", "2026-11-21", "14:00", "22:00", "1"]
    again = post(
        manager, page, "/entries/file/again", kind="roster", store=STORE, content=content, rows=["2", "3"], cells=mended
    )
    assert again.status_code == 303, text_of(again)
    assert len(shop.services.corrections.roster(ADMIN, STORE, TODAY) or []) == 3


def test_a_file_that_is_none(manager: httpx.Client) -> None:
    page = "/entries/file?kind=facts"
    for body, said in ((b"", "Choose a file."), (b"a;b\n1;2\n", "lacks a column"), (b"\xff\x00\xfe", "lacks a column")):
        answer = manager.post(
            "/entries/file",
            data={"csrf_token": token(manager, page), "kind": "facts"},
            files={"file": ("x.csv", body, "text/csv")},
        )
        assert answer.status_code == 422
        assert said in text_of(answer)


def test_a_day_with_hours_of_its_own(manager: httpx.Client, as_user: AsUser, shop: Shop) -> None:
    page = f"/stores/{STORE}/opening"
    fields = {"day": "2026-12-24", "opens": "10:00", "closes": "14:00", "reason": "test eve"}
    assert post(manager, page, page, **fields).status_code == 303
    assert "10:00–14:00" in manager.get(page).text
    bad = post(manager, page, page, day="2026-12-25", opens="10:07", closes="14:00")
    assert bad.status_code == 422
    assert "on the quarter hour" in bad.text
    assert "or say that it is closed" in post(manager, page, page, day="2026-12-25").text
    assert post(manager, page, f"{page}/2026-12-24/removal").status_code == 303
    assert shop.services.opening.exceptions(ADMIN, STORE, TODAY, date(2026, 12, 31)) == []
    hq = as_user("hq")
    assert post(manager, page, f"/stores/{STORE}/holidays", day="2026-12-01", kind="holiday").status_code == 403
    assert (
        post(hq, page, f"/stores/{STORE}/holidays", day="2026-12-01", kind="holiday", name="test day").status_code
        == 303
    )
    assert "test day" in hq.get(page).text
    assert post(hq, page, f"/stores/{STORE}/holidays/2026-12-01/removal").status_code == 303
    assert "test day" not in hq.get(page).text


def test_a_correction_is_made_marks_the_day_and_is_withdrawn(
    manager: httpx.Client, as_user: AsUser, shop: Shop
) -> None:
    page = f"/stores/{STORE}/corrections"
    stretch = {"starts_at": "2026-11-21T10:05", "ends_at": "2026-11-21T10:20", "line_id": "S02-L1"}
    refused = post(manager, page, page, kind="excluded", **stretch)
    assert refused.status_code == 422
    assert "Say why" in refused.text
    assert post(manager, page, page, kind="excluded", reason="test delivery", **stretch).status_code == 303
    shown = text_of(manager.get(page))
    assert "test delivery" in shown
    store = manager.get(f"/stores/{STORE}").text
    assert '"20261121T0200Z": "test delivery"' in unescape(store), "the hour of the chart is marked"
    assert "test delivery" in text_of(manager.get(f"/stores/{STORE}/why/visitors"))
    assert post(manager, page, page, kind="staff_rate", reason="x", day_from="2026-11-01", value="2").status_code == 403
    (made,) = shop.services.corrections.corrections(ADMIN, STORE)
    unsaid = post(manager, page, f"/corrections/{made.correction_id}/withdrawal", store=STORE, reason="")
    assert unsaid.status_code == 422
    done = post(manager, page, f"/corrections/{made.correction_id}/withdrawal", store=STORE, reason="test mistake")
    assert done.status_code == 303
    assert "test mistake" in text_of(manager.get(page))
    hq = as_user("hq")
    audit = {"counted": "100", "missed": "5", "invented": "2", "day_from": "2026-11-01", "line_id": "S02-L1"}
    assert post(hq, page, page, kind="accuracy", reason="test count", **audit).status_code == 303
    assert "Times 1.030" in text_of(hq.get(f"{page}?kind=accuracy"))
    weak = post(hq, page, page, kind="accuracy", reason="test count", **{**audit, "counted": "3"})
    assert "too few people were counted by hand" in text_of(weak)


def test_why_a_number(manager: httpx.Client) -> None:
    for kpi in ("conversion", "net_sales", "occupancy", "star"):
        assert manager.get(f"/stores/{STORE}/why/{kpi}").status_code == 200, kpi
    shown = text_of(manager.get(f"/stores/{STORE}/why/conversion?day=2026-11-20"))
    assert "Quarter by quarter" in shown
    assert "95% sure" in shown
    hour = manager.get(f"/stores/{STORE}/why/visitors", params={"day": "2026-11-20", "hour": "2026-11-20T02:00:00Z"})
    assert "10:00–11:00" in text_of(hour)
    assert manager.get(f"/stores/{STORE}/why/mood").status_code == 404
    assert manager.get("/stores/S01/why/visitors").status_code == 403


def test_who_is_silent_stands_on_the_pages_until_it_is_heard(
    manager: httpx.Client, as_user: AsUser, shop: Shop
) -> None:
    hq = as_user("hq")
    assert "Nothing is silent" in text_of(hq.get("/silences"))
    with shop.services.db.transaction() as conn:
        conn.execute(
            "INSERT INTO silence (store_id, device_id, camera_id, state, last_heard, noticed_at)"
            " VALUES ('S02', 'box-S02', '', 'silent', %s, %s)",
            (shop.clock.now - timedelta(hours=3), shop.clock.now - timedelta(hours=2)),
        )
    for page in (hq.get("/silences"), hq.get("/hq"), manager.get(f"/stores/{STORE}"), manager.get("/silences")):
        said = text_of(page)
        assert "The box says nothing" in said
        assert "See that it has power" in said
        assert "3 hours" in said
    with shop.services.db.transaction() as conn:
        conn.execute("UPDATE silence SET resolved_at = %s", (shop.clock.now,))
    assert "The box says nothing" not in text_of(manager.get(f"/stores/{STORE}"))
    assert "Heard again" in text_of(manager.get(f"/stores/{STORE}/silences"))


def test_what_ran_by_the_clock(as_user: AsUser, shop: Shop) -> None:
    hq = as_user("hq")
    assert "No job has run yet" in text_of(hq.get("/jobs"))
    with shop.services.db.transaction() as conn:
        conn.execute(
            "INSERT INTO job_run (job, started_at, finished_at, outcome, detail)"
            " VALUES ('settle_days', %(at)s, %(at)s, 'done', '3 store-days computed'),"
            " ('reconcile', %(at)s, %(at)s, 'failed', 'a roll-up differs'), ('today', %(at)s, NULL, 'running', '')",
            {"at": shop.clock.now},
        )
    said = text_of(hq.get("/jobs"))
    for words in ("3 store-days computed", "a roll-up differs", "Failed", "Running", "Settles days that are over"):
        assert words in said
    # How far computing anew has come.
    assert "Being computed anew" not in said
    with shop.services.db.transaction() as conn:
        hours = [shop.clock.now, shop.clock.now - timedelta(days=3), shop.clock.now - timedelta(days=3, minutes=1)]
        dirty.mark(conn, STORE, hours, "a test")
    said = text_of(hq.get("/jobs"))
    with shop.services.db.transaction() as conn:
        conn.execute("DELETE FROM dirty_mark WHERE reason = 'a test'")
    assert "2 days of 1 store, the oldest marked at" in said


def test_the_store_s_page_shows_what_the_api_has(manager: httpx.Client) -> None:
    page = manager.get(f"/stores/{STORE}")
    said = text_of(page)
    for words in ("Group conversion", "Capture rate", "Length of stay", "Visitors per staff hour", "Power hours"):
        assert words in said
    assert "Nobody has entered who was on the floor" in said, "what is withheld has its reason"
    assert f'href="/stores/{STORE}/why/star?day={TODAY}"' in page.text


def test_every_job_says_what_it_is_for(shop: Shop) -> None:
    services = shop.services
    jobs = standard_jobs(services.settings, services.db, services.stores, services.kpi, services.access)
    assert {job.name for job in jobs} == set(JOBS)
