"""A chain set up by its pages: from an empty database to a live count, stores by the file, boxes, settings, proof."""

import base64
import io
import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest
from fastapi.testclient import TestClient
from openpyxl import Workbook, load_workbook
from pydantic import SecretStr

from dashboards.app import mount
from server.access.models import Scope
from server.app import create_app
from server.ingest.models import Incoming
from server.sales.models import NewReceipt
from server.services import Services, make_services
from server.settings import Settings
from server.stores.calendar import OpeningSpan
from server.stores.models import NewStore
from tests.dashboards.test_account_pages import csrf_of
from tests.fixtures.pki import PASSPHRASE, make_pki
from tests.fixtures.postgres import RUN, Server, create_database, drop_database
from wire.asking import Given, Snapshot, Unable
from wire.config import ConfigReport
from wire.enrolment import Enrolment
from wire.enrolment import decode as read_enrolment
from wire.messages import CameraStatus, Crossing, Status, encode, make_batch

PASSWORD = "a long enough password"
_CHAIN = f"pages_setting_up_{RUN}"
SYSTEM = Scope.system("tests")
LINE = {"shape": "line", "id": "S01-C1-L1", "name": "正门", "kind": "door", "points": [[0.1, 0.5], [0.9, 0.5]]}


@pytest.fixture(scope="module")
def services(postgres: Server, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Over a database of this file's own, empty at first; the first administrator was made by command."""
    create_database(postgres, _CHAIN, template=template_database)
    settings = Settings(
        dsn=SecretStr(postgres.dsn_of(_CHAIN)),
        secret_key=SecretStr("c2l4dGVlbiBieXRlcyB0d2ljZSBvdmVyIG9uZSBrZXk="),
        pki_dir=tmp_path_factory.mktemp("centre") / "pki",
        argon2_memory_kib=64,
        argon2_time_cost=1,
        _env_file=None,  # type: ignore[call-arg]
    )
    with make_services(settings) as made:
        made.access.create_user(SYSTEM, "admin", PASSWORD, "Administrator", "admin", locale="en")
        made.access.create_user(SYSTEM, "hq", PASSWORD, "Head office", "hq", locale="en")
        yield made
    drop_database(postgres, _CHAIN)


class Visitor:
    """Somebody signed in, who sends forms as a browser does."""

    def __init__(self, client: TestClient, username: str) -> None:
        self._client = client
        answer = client.post("/sign-in", data={"username": username, "password": PASSWORD})
        assert answer.status_code == 303, answer.text
        self.csrf = csrf_of(client.get("/account").text)

    def get(self, path: str, status: int = 200) -> str:
        answer = self._client.get(path)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:2000])
        return answer.text

    def leads(self, path: str) -> str:
        return str(self._client.get(path).headers["location"])

    def raw(self, path: str) -> bytes:
        return self._client.get(path).content

    def send(self, path: str, status: int = 303, **fields: Any) -> str:
        """A form; gives where it leads to, or the page that answers."""
        answer = self._client.post(path, data={"csrf_token": self.csrf, **fields})
        assert answer.status_code == status, (path, answer.status_code, answer.text[:2000])
        return answer.headers.get("location", answer.text)

    def upload(self, path: str, name: str, body: bytes, status: int = 200) -> str:
        answer = self._client.post(path, data={"csrf_token": self.csrf}, files={"file": (name, body)})
        assert answer.status_code == status, (path, answer.status_code, answer.text[:2000])
        return answer.text


@pytest.fixture(scope="module")
def client(services: Services) -> Iterator[TestClient]:
    app = create_app(services)
    mount(app, services)
    with TestClient(app, follow_redirects=False, headers={"accept-language": "en"}) as made:
        yield made
    app.state.live.close()


@pytest.fixture
def admin(client: TestClient) -> Visitor:
    return Visitor(client, "admin")


def answered(services: Services, given: Given) -> None:
    """What a box gave to somebody who asked for a picture, as it is kept."""
    with services.db.transaction() as conn:
        conn.execute(
            """
            INSERT INTO device_request (request_id, device_id, store_id, camera_id, kind, asked_by, asked_at,
                                        waits_until, keep_until, answered_at, given)
            VALUES (%s, 'door-1', 'S01', 'S01-C1', 'snapshot', 'admin', now(), now(), now() + interval '5 minutes',
                    clock_timestamp(), %s)
            """,
            (uuid4().hex, msgspec.json.encode(given)),
        )


def said(services: Services, device: str, **more: object) -> None:
    """A box's word about itself, as ingest takes it."""
    now = datetime.now(UTC)
    status = Status(device=device, online=True, at=now, version="1.0", **more)  # type: ignore[arg-type]
    services.ingest.note_status(device, encode(status), now)


def test_from_an_empty_database_to_a_live_count(admin: Visitor, services: Services) -> None:
    def state() -> tuple[list[str], list[str]]:
        told = json.loads(admin.get("/setup/state"))
        return told["done"], told["begun"]

    assert state() == ([], [])
    assert admin.leads("/") == "/setup"  # an administrator's day begins with it
    first = admin.get("/setup")
    assert "0 of 6 done" in first
    assert 'href="/admin/stores/new"' in first
    assert "Add a box" not in first  # a box needs a store to stand in

    # A mistake comes back beside its field, with all that was typed.
    wrong: dict[str, Any] = {
        "store_id": "S 1",
        "name": "Jing'an",
        "timezone": "Asia/Shanghai",
        "country": "cn",
        "currency": "CNY",
    }
    page = admin.send("/admin/stores/new", 422, **wrong, day_starts="04:00", hours="10:00-22:00")
    assert "Use 1 to 32 letters" in page
    assert "Jing&#39;an" in page
    admin.send("/admin/stores/new", **{**wrong, "store_id": "S01"}, day_starts="04:00", hours="Mon-Sat 10:00-22:00")
    assert state() == (["store"], [])

    made = admin.send("/admin/devices/new", 200, store="S01", device="door-1")
    assert re.search(r"<code>\S{30,}</code>", made)  # without an authority: a password, shown this once
    assert "door-1" in admin.get("/admin/devices")
    assert state() == (["store"], ["box"])
    said(services, "door-1")
    assert state() == (["box", "store"], [])

    admin.send("/admin/cameras/S01", camera="S01-C1", name="Front door")
    assert state()[1] == ["camera"]
    said(services, "door-1", cameras=(CameraStatus(camera="S01-C1", state="offline", fps=0),))
    assert state()[1] == ["camera"]  # that the box knows it is no picture of it
    answered(services, Unable(code="no_picture", reason="the camera refuses this password"))
    assert state()[1] == ["camera"]
    assert "The box says: the camera refuses this password" in admin.get("/setup")
    answered(services, Snapshot(camera="S01-C1", at=None, width=4, height=3, people=0, jpeg=b"\xff\xd8\xff"))
    assert "camera" in state()[0]  # nothing is drawn on it, so no box watches it; but this one showed it

    # Drawn: registered, sent to the box, and kept by it.
    address = "/admin/cameras/S01/S01-C1"
    assert "no line is given" not in admin.get(address)
    nothing = json.dumps({"shapes": [], "mounting": "overhead"})
    assert "Draw at least one line" in admin.send(address, 422, drawn=nothing)
    drawn = json.dumps({"shapes": [{**LINE, "inside": [0.5, 0.8]}], "mounting": "overhead"})
    assert admin.send(address, drawn=drawn, note="first").endswith("note=set")
    assert [line.name for line in services.stores.lines(SYSTEM, "S01")] == ["正门"]
    again = admin.send(address, 409, drawn=drawn, note="the door moved")
    assert "The box is to count just so already" in again
    assert 'value="the door moved"' in again  # why comes back with what was drawn
    street = json.dumps({"shapes": [{**LINE, "kind": "street", "inside": [0.5, 0.8]}], "mounting": "overhead"})
    assert "fixed once it is registered" in admin.send(address, 422, drawn=street)

    # Another name alone: for people, on record, and no business of the box's.
    def called(name: str) -> str:
        return json.dumps({"shapes": [{**LINE, "name": name, "inside": [0.5, 0.8]}], "mounting": "overhead"})

    assert "1 to 100 characters" in admin.send(address, 422, drawn=called(" "))
    assert admin.send(address, drawn=called("Front door, left")).endswith("note=named")
    assert "for earlier days too" in admin.get(f"{address}?note=named")
    (line,) = services.stores.lines(SYSTEM, "S01")
    assert (line.line_id, line.name) == ("S01-C1-L1", "Front door, left")
    assert services.configs.history(SYSTEM, "door-1")[0].revision == 1
    (renamed,) = [each for each in services.access.trail.newest(SYSTEM) if each.action == "store.line"]
    assert renamed.detail == {"from": "正门", "to": "Front door, left"}
    # A line its box knows from its own file alone is drawn nowhere, and has a name all the same.
    services.stores.add_line(SYSTEM, "S01-C1", "S01-C1-L9", "side")
    assert "S01-C1-L9" in admin.get(address)
    assert admin.send(f"{address}/names", line=["S01-C1-L9"], name=["Side door"]).endswith("note=named")
    assert "1 to 100 characters" in admin.send(f"{address}/names", 422, line=["S01-C1-L9"], name=["x" * 101])
    names = {line.line_id: line.name for line in services.stores.lines(SYSTEM, "S01")}
    assert names == {"S01-C1-L1": "Front door, left", "S01-C1-L9": "Side door"}
    assert json.loads(admin.get(f"{address}/fate"))["words"] == "Sent, not heard of yet"
    seen = (CameraStatus(camera="S01-C1", state="ok", fps=10),)
    said(services, "door-1", cameras=seen, config=ConfigReport(revision=1, state="failed", reason="no picture with it"))
    fate = json.loads(admin.get(f"{address}/fate"))
    assert (fate["words"], fate["reason"], fate["settled"]) == ("Refused; gone back", "no picture with it", True)
    assert state()[1] == ["line"]
    said(services, "door-1", cameras=seen, config_revision=1, config=ConfigReport(revision=1, state="applied"))
    assert "Kept (1)" in admin.get("/admin/devices")
    assert state() == (["box", "camera", "line", "store"], [])

    at = datetime.now(UTC) - timedelta(minutes=1)
    services.sales.post_receipts(SYSTEM, [NewReceipt(store_id="S01", receipt_no="R1", at=at, gross=Decimal(80))])
    walked = Crossing(seq=1, at=at, camera="S01-C1", line="S01-C1-L1", direction="in", track=1, group=1)
    batch = make_batch(device="door-1", epoch=uuid4().hex, oldest=1, sent_at=at, records=[walked])
    services.ingest.take([Incoming("door-1", encode(batch), datetime.now(UTC))])
    assert state() == (["box", "camera", "count", "line", "receipts", "store"], [])
    assert "The chain counts" in admin.get("/setup")
    assert admin.leads("/") == "/hq"


def test_a_spreadsheet_of_stores_is_looked_at_and_taken_whole_or_by_choice(admin: Visitor, services: Services) -> None:
    sheet = load_workbook(io.BytesIO(admin.raw("/admin/stores/template.xlsx"))).active
    assert sheet is not None
    assert [cell.value for cell in sheet[1]][:2] == ["store_id", "name"]
    book = Workbook()
    rows = book.active
    assert rows is not None
    rows.append(["门店编号", "名称", "大区", "营业时间", "仓库"])
    for number in range(1, 201):
        rows.append([f"N{number:03}", f"第{number}店", "华东", "周一至周五 10:00-22:00；周六、周日 09:30–24:00", "x"])
    body = io.BytesIO()
    book.save(body)
    shown = admin.upload("/admin/stores/file", "stores.xlsx", body.getvalue())
    assert "200 stores can be added" in shown
    assert "passed over: 仓库" in shown
    before = len(services.stores.stores(SYSTEM))
    content = re.search(r"<textarea[^>]*>(.*?)</textarea>", shown, re.DOTALL)
    assert content is not None
    assert admin.send("/admin/stores/file/add", content=content[1], which="all").endswith("added=200")
    assert len(services.stores.stores(SYSTEM)) == before + 200
    assert len(services.stores.calendar(SYSTEM, "N200").weeks[0].spans) == 7
    trail = services.access.trail.newest(SYSTEM, 200)
    assert sum(line.action == "store.add" for line in trail) > 190

    # One row is there already, one has no name, one stands twice, one is good: nothing, or the good one by choice.
    mixed = "store_id,name,hours\nN001,again,\nX1,,\nX2,good,10:00-22:00\nX2,twice,\nX3,odd,from ten to ten\n"
    shown = admin.upload("/admin/stores/file", "more.csv", mixed.encode(), 422)
    assert "4 rows can't be added" in shown
    for words in ("of this number already", "Give the name", "stands in the file twice", "don't overlap"):
        assert words in shown
    admin.send("/admin/stores/file/add", 422, content=mixed, which="all")
    assert len(services.stores.stores(SYSTEM)) == before + 200
    assert admin.send("/admin/stores/file/add", content=mixed, which="good").endswith("added=1")
    assert services.stores.store(SYSTEM, "X2").name == "good"
    admin.upload("/admin/stores/file", "none.csv", b"a,b\n1,2\n", 422)
    shown = admin.upload("/admin/stores/file", "alike.csv", b"Store,name,Code\nJing'an,x,Y1\n", 422)
    assert "These columns mean the same" in shown
    assert "Store, Code" in shown
    shut = b"store_id,name,hours\nY1,x,10:00-22:00; holidays closed\n"
    assert "Days with hours of their own" in admin.upload("/admin/stores/file", "shut.csv", shut, 422)
    # Of the size the page promises, and not of any.
    assert "too large" in admin.upload("/admin/stores/file", "long.csv", b"x" * (4 * 1024 * 1024 + 1), 422)
    admin.upload("/admin/stores/file", "longer.csv", b"x" * (6 * 1024 * 1024), 413)

    found = admin.get("/admin/stores?q=N200")
    assert "第200店" in found
    assert f"1 of {before + 201} stores" in found
    assert "No store fits" in admin.get("/admin/stores?q=N200&state=live")


def test_a_store_is_changed_from_a_day_on(admin: Visitor, services: Services) -> None:
    services.stores.add_store(SYSTEM, NewStore("C01", "静安店", region="华东"))
    times = [("10:00", "22:00"), ("", "")] * 5 + [("09:30", "14:00"), ("15:00", "23:00")] * 2 + [("", "")] * 2
    opens, closes = [first for first, _ in times], [last for _, last in times]
    admin.send("/admin/stores/C01/hours", valid_from="2026-11-01", opens=opens, closes=closes)
    assert len(services.stores.calendar(SYSTEM, "C01").weeks[-1].spans) == 9
    assert OpeningSpan in {type(span) for span in services.stores.calendar(SYSTEM, "C01").weeks[-1].spans}
    page = admin.send("/admin/stores/C01/hours", 422, valid_from="2026-11-01", opens=["10:05"], closes=["22:00"])
    assert "quarter hour" in page
    assert 'value="10:05"' in page
    admin.send("/admin/stores/C01/name", name="静安旗舰店", subdivision="")
    labels: dict[str, Any] = {"region": "华东", "format": "flagship", "tags": "mall，new"}
    admin.send("/admin/stores/C01/labels", valid_from="2026-11-01", **labels)
    admin.send("/admin/stores/C01/calendar", valid_from="2026-11-01", timezone="Asia/Urumqi", day_starts="05:00")
    store = services.stores.store(SYSTEM, "C01")
    assert (store.name, store.format, list(store.tags), store.timezone) == (
        "静安旗舰店",
        "flagship",
        ["mall", "new"],
        "Asia/Urumqi",
    )
    assert "Choose a time zone" in admin.send(
        "/admin/stores/C01/calendar", 422, valid_from="2026-11-01", timezone="Mars/Base", day_starts="05:00"
    )


@pytest.fixture
def pki(services: Services) -> Iterator[Path]:
    """An authority where the settings say; gone afterwards, for whoever has none."""
    folder = services.settings.pki_dir
    make_pki(folder)
    yield folder
    shutil.rmtree(folder)


def test_a_box_is_made_rotated_and_ended_with_a_certificate(
    admin: Visitor, services: Services, client: TestClient, pki: Path
) -> None:
    services.stores.add_store(SYSTEM, NewStore("B01", "静安店"))
    new = {"store": "B01", "device": "till-1"}
    assert "does not open the authority" in admin.send("/admin/devices/new", 422, **new, passphrase="no such words")
    page = admin.send("/admin/devices/new", 200, **new, passphrase=PASSPHRASE)
    file = _enrolment(page)
    assert (file.device, file.store, file.host) == ("till-1", "B01", "localhost")
    assert "PRIVATE KEY" not in admin.get("/admin/devices/till-1")
    assert "There is, or was, a box of this name" in admin.send("/admin/devices/new", 422, **new, passphrase=PASSPHRASE)

    # A second certificate beside the first; one in its place, and the end, only with the name typed again.
    rotation, newest = "/admin/devices/till-1/rotate", _newest(admin)
    other = _enrolment(admin.send(rotation, 200, when="later", passphrase=PASSPHRASE, after=newest))
    again = admin.send(rotation, 409, when="later", passphrase=PASSPHRASE, after=newest)  # a reload
    assert "nothing was made now" in again
    assert "base64," not in again
    assert other.certificate != file.certificate
    (device,) = services.provisioning.devices(SYSTEM, "B01")
    assert len(device.certificates) == 2
    newest = _newest(admin)
    admin.send(rotation, 422, when="now", confirm="till-2", passphrase=PASSPHRASE, after=newest)
    page = admin.send(rotation, 200, when="now", confirm="till-1", passphrase=PASSPHRASE, after=newest)
    assert "doorline pki crl" in page  # nobody told this server how to reload the broker
    admin.send("/admin/devices/till-1/end", 422, confirm="")
    assert admin.send("/admin/devices/till-1/end", confirm="till-1", passphrase=PASSPHRASE).endswith("note=by_hand")
    (device,) = services.provisioning.devices(SYSTEM, "B01")
    assert device.revoked_at is not None
    assert "till-1" not in admin.get("/admin/devices")
    assert "till-1" in admin.get("/admin/devices?ended=true")
    admin.get("/admin/devices/nobody", 404)

    services.stores.add_camera(SYSTEM, "B01", "B01-C1", "正门")
    drawing = 'href="/admin/cameras/B01/B01-C1"'
    assert drawing in admin.get("/admin/stores/B01")

    # Head office looks and changes nothing.
    hq = Visitor(client, "hq")
    assert "Take it back" not in hq.get("/admin/devices/till-1")
    hq.send("/admin/devices/till-1/end", 403, confirm="till-1")
    assert drawing not in hq.get("/admin/stores/B01")
    hq.get("/admin/audit", 403)


def _newest(admin: Visitor) -> str:
    """What the form for another certificate says of the newest one."""
    found = re.search(r'name="after" value="([0-9a-f]+)"', admin.get("/admin/devices/till-1"))
    assert found is not None
    return found[1]


def _enrolment(page: str) -> Enrolment:
    found = re.search(r"base64,([A-Za-z0-9+/=]+)", page)
    assert found is not None
    return read_enrolment(base64.b64decode(found[1]))


def test_settings_hold_from_a_day_on_and_the_trail_tells_and_proves_it(admin: Visitor, services: Services) -> None:
    services.stores.add_store(SYSTEM, NewStore("K01", "设置店"))
    assert "90%" in admin.get("/admin/settings")
    admin.send("/admin/settings/coverage_threshold", value="85", valid_from="2026-01-01", store="")
    admin.send("/admin/settings/takes_check_ins", value="1", valid_from="2026-01-01", store="K01")
    services.stores.add_store(SYSTEM, NewStore("K02", "Kiritimati", timezone="Pacific/Kiritimati", day_starts=time(0)))
    page = admin.get("/admin/settings")
    # The day it is where the chain is: there it is tomorrow already, most of the time.
    own = datetime.now(ZoneInfo("Pacific/Kiritimati")).date()
    assert f'name="valid_from" type="date" value="{own}"' in page
    assert "85%" in page
    assert "设置店" in page
    assert "Enter per cent" in admin.send("/admin/settings/power_share", 422, value="140", valid_from="2026-01-01")
    admin.send("/admin/settings/nothing", 404, value="1", valid_from="2026-01-01")

    mine = admin.get("/admin/audit?who=admin&what=kpi")
    assert mine.count("kpi.setting") == 2
    assert "store.add" not in mine
    assert "coverage_threshold" in admin.get("/admin/audit?subject=coverage_threshold")
    assert "No line fits" in admin.get("/admin/audit?last=2020-01-01")
    both = admin.get("/admin/audit?what=kpi,store")
    assert ("kpi.setting" in both, "store.add" in both, "session.open" in both) == (True, True, False)
    head = re.search(r'id="head-now"[^>]*>([^<]+)<', mine)
    assert head is not None
    assert "Nothing was done to it" in admin.send("/admin/audit/verdict", 200, head=head[1])
    assert "This is no head" in admin.send("/admin/audit/verdict", 422, head="7")
    forged = f"{head[1].partition(':')[0]}:{'0' * 64}"
    assert "not the one that was noted" in admin.send("/admin/audit/verdict", 200, head=forged)
    assert urlsplit(admin.send("/setup/close")).path == "/admin/stores"
