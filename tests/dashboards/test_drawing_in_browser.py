"""An administrator draws a line on a camera's picture, and the box's counts follow it.

All parts are real: the box is a process of its own before a rendered scene, as the demo's are, the broker is a broker,
the browser a browser. The geometry the page draws by is held to a table of situations in the same browser.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboards.app import mount
from server.access.models import Scope
from server.app import create_app
from server.ingest.broker import EmbeddedBroker
from server.ingest.worker import IngestWorker
from server.mqtt import BrokerAddress
from server.services import Services, make_services
from server.stores.models import NewStore
from tests.fixtures.browser import Watch, serving
from tests.fixtures.processes import central_settings, parsed, running
from tests.fixtures.wait import wait_until

PASSWORD = "a long enough password"
SYSTEM = Scope.system("tests")
SCENE = "scene:overhead?seed=3&rate=60&light=steady&size=192x144&fps=8"

pytestmark = pytest.mark.browser

#: What the page's geometry must come to, situation by situation; points in fractions, a picture twice as wide as high.
_GEOMETRY = """async (url) => {
    const g = await import(url);
    const across = [[0.1, 0.5], [0.9, 0.5]];
    const bent = [[0.1, 0.2], [0.5, 0.8], [0.9, 0.2]];
    const square = [[0.2, 0.2], [0.6, 0.2], [0.6, 0.6], [0.2, 0.6]];
    const told = {
        above: g.sideOf(across, [0.5, 0.2], 2), below: g.sideOf(across, [0.5, 0.9], 2),
        turned: g.sideOf([...across].reverse(), [0.5, 0.2], 2),
        beyond_its_end: g.sideOf(across, [0.99, 0.2], 2),
        in_the_bend: g.sideOf(bent, [0.5, 0.3], 2), under_the_bend: g.sideOf(bent, [0.5, 0.95], 2),
        at_the_edge: g.insidePoint([[0.1, 0.99], [0.9, 0.99]], -1, 2).every((each) => each >= 0 && each <= 1),
        moved: g.moved(across, 1, [1.4, -0.2]), shifted: g.shifted(square, [0.9, -0.9]),
        between: g.inserted(across, 0, false), behind: g.inserted(across, 1, false),
        round: g.inserted(square, 3, true).length,
        least: g.removed(across, 0, 2), fewer: g.removed(square, 1, 3).length,
        line: g.isDrawable(across, false, 2), spot: g.isDrawable([[0.5, 0.5], [0.5, 0.5]], false, 2),
        ring: g.isDrawable(square, true, 2), flat: g.isDrawable([[0.1, 0.1], [0.9, 0.1]], true, 2),
    };
    for (const [name, points] of [["across", across], ["bent", bent]]) {
        for (const side of [1, -1]) told[`${name}_${side}`] = g.sideOf(points, g.insidePoint(points, side, 2), 2);
    }
    const [from, to] = g.arrowOf(across, 1, 2);
    told.arrow = [from, to].map((point) => point.map((each) => Math.round(each * 100) / 100));
    return told;
}"""
_EXPECTED = {
    "above": 1,
    "below": -1,
    "turned": -1,
    "beyond_its_end": 1,
    "in_the_bend": 1,
    "under_the_bend": -1,
    "at_the_edge": True,
    "moved": [[0.1, 0.5], [1, 0]],
    "shifted": [[0.6, 0], [1, 0], [1, 0.4], [0.6, 0.4]],
    "between": [[0.1, 0.5], [0.5, 0.5], [0.9, 0.5]],
    "behind": [[0.1, 0.5], [0.5, 0.5], [0.9, 0.5]],
    "round": 5,
    "least": [[0.1, 0.5], [0.9, 0.5]],
    "fewer": 3,
    "line": True,
    "spot": False,
    "ring": True,
    "flat": False,
    "across_1": 1,
    "across_-1": -1,
    "bent_1": 1,
    "bent_-1": -1,
    "arrow": [[0.5, 0.5], [0.5, 0.41]],
}

#: What is drawn and the way back, step by step; a picture twice as wide as high, as above.
_DRAWING = """async (url) => {
    const { Drawing } = await import(url);
    const line = { id: "L1", shape: "line", points: [[0.1, 0.5], [0.9, 0.5]], inside: [0.5, 0.4], kind: "door" };
    const zone = { id: "Z1", shape: "zone", points: [[0.2, 0.2], [0.6, 0.2], [0.6, 0.6]], kind: "staff" };
    const drawing = new Drawing([line, zone], false);
    drawing.aspect = 2;
    const focused = [], told = {};
    drawing.watch((point) => focused.push(point));
    const ids = () => drawing.shapes.map((shape) => shape.id).join();
    drawing.hold(); drawing.release();
    told.touched = drawing.canUndo;
    drawing.hold();
    for (const y of [0.6, 0.7, 0.8]) drawing.movePoint(0, [0.1, y], { remember: false });
    drawing.release();
    told.dragged = [drawing.shape.points[0], drawing.side(), drawing.dirty];
    drawing.undo();
    told.at_once = [drawing.shape.points[0], drawing.canUndo];
    drawing.movePoint(1, [0.9, 0.99], { focus: 1 });
    drawing.addPoint(0);
    drawing.flip();
    told.turned = [drawing.shape.points.length, drawing.side(), focused.slice(-3)];
    drawing.dropPoint(0); drawing.dropPoint(0);
    told.least = drawing.shape.points.length;
    drawing.choose(1);
    drawing.dropPoint(2);
    told.corners = drawing.shape.points.length;
    drawing.remove();
    told.gone = [ids(), drawing.chosen];
    drawing.remove();
    told.empty = [ids(), drawing.chosen, drawing.shape === undefined];
    drawing.undo(); drawing.undo();
    told.back = [ids(), drawing.chosen];
    for (let each = 0; each < 200; each += 1) drawing.put({ name: `${each}` });
    let steps = 0;
    while (drawing.canUndo) { drawing.undo(); steps += 1; }
    told.remembers = steps;
    told.refused = new Drawing([line], true).shape.known;
    return told;
}"""
_DRAWN = {
    "touched": False,
    "dragged": [[0.1, 0.8], 1, True],
    "at_once": [[0.1, 0.5], False],
    "turned": [3, -1, [1, 1, -1]],
    "least": 2,
    "corners": 3,
    "gone": ["L1", 0],
    "empty": ["", -1, True],
    "back": ["L1,Z1", 0],
    "remembers": 100,
    "refused": False,
}


@pytest.fixture
def services(db_dsn: str, any_broker: EmbeddedBroker) -> Iterator[Services]:
    """A store with a camera nothing is drawn for, its box, and an administrator."""
    with make_services(parsed(central_settings(db_dsn, any_broker))) as made:
        made.stores.add_store(SYSTEM, NewStore("S01", "静安店"))
        made.stores.add_camera(SYSTEM, "S01", "S01-C1", "正门")
        made.access.create_user(SYSTEM, "admin", PASSWORD, "管理员", "admin", locale="en")
        any_broker.add_user("door-1", made.stores.add_device(SYSTEM, "S01", "door-1").password)
        yield made


def box(folder: Path, broker: EmbeddedBroker) -> str:
    """The box's own file, which knows its camera and no line."""
    broker.add_user("door-1", PASSWORD)
    path = folder / "edge.toml"
    path.write_text(
        f"""
[device]
name = "door-1"
[broker]
host = "127.0.0.1"
port = {broker.port}
password = "{PASSWORD}"
[outbox]
path = "outbox.db"
flush_after_s = 0.2
[[camera]]
id = "S01-C1"
source = "{SCENE}"
mounting = "overhead"
""",
        encoding="utf-8",
    )
    path.chmod(0o600)
    return str(path)


@contextmanager
def ingesting(services: Services) -> Iterator[None]:
    stop = threading.Event()
    worker = IngestWorker(services.ingest, BrokerAddress.of(services.settings), configs=services.configs)
    thread = threading.Thread(target=worker.run, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: worker.ready, what="ingest to listen")
        yield
    finally:
        stop.set()
        thread.join(20)


def counted(services: Services, line: str) -> int:
    with services.db.read() as conn:
        row = conn.execute("SELECT count(*) FROM crossing WHERE line_id = %s", (line,)).fetchone()
    return int(row[0]) if row else 0


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From one place of the picture to another, in fractions of it."""
    frame: Any = page.locator("#canvas").bounding_box()
    at = [(frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]) for x, y in (start, end)]
    page.mouse.move(*at[0])
    page.mouse.down()
    page.mouse.move(*at[1], steps=4)
    page.mouse.up()


def value(page: Page, cell: str) -> float:
    return float(page.locator(f'[data-cell="{cell}"]').input_value())


def kept(page: Page, revision: int) -> None:
    """Until the page says that the box keeps what it was sent."""
    expect(page.locator("#fate")).to_have_text(f"Kept ({revision})", timeout=60_000)


def test_counts_follow_the_line_that_is_drawn(
    services: Services, any_broker: EmbeddedBroker, browser: Browser, tmp_path: Path
) -> None:
    app = create_app(services)
    mount(app, services)
    env = {"OMP_NUM_THREADS": "1"}
    with (
        serving(app) as address,
        ingesting(services),
        running(env, tmp_path, "edge", "run", box(tmp_path, any_broker)),
    ):
        watch = Watch(address)
        context = browser.new_context(base_url=address, viewport={"width": 1280, "height": 1000})
        context.set_default_timeout(60_000)
        page = context.new_page()
        watch.attach(page)
        page.goto("/sign-in")
        page.locator("#username").fill("admin")
        page.locator("#password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/sign-in" not in url)

        def heard() -> bool:
            return any(each.online for each in services.provisioning.devices(SYSTEM))

        wait_until(heard, 60, "the box to be heard")
        # Open beside it all the while: the first hour, which looks for itself how far they are.
        guide = context.new_page()
        watch.attach(guide)
        guide.goto("/setup")
        counts = guide.locator(".first-steps li", has_text="The first one counted")
        expect(counts).to_be_visible()
        expect(counts).not_to_have_class("done")
        page.goto("/admin/cameras/S01/S01-C1")
        script = page.locator('script[src$="camera.js"]').get_attribute("src") or ""
        assert page.evaluate(_GEOMETRY, script.replace("camera.js", "camera-geometry.js")) == _EXPECTED
        assert page.evaluate(_DRAWING, script.replace("camera.js", "camera-drawing.js")) == _DRAWN

        # A picture from the camera, in its own proportions; whoever looked is on record.
        page.get_by_role("button", name="Take a picture").click()
        expect(page.locator("#said")).to_contain_text("A picture of")
        expect(page.locator("#picture")).to_be_visible()
        assert "device.snapshot" in {line.action for line in services.access.trail.newest(SYSTEM)}

        # Drawn with the mouse; its inside is above until it is turned round.
        page.get_by_role("button", name="Draw a line").click()
        drag(page, (0.1, 0.6), (0.9, 0.5))
        expect(page.locator("#drawing")).to_have_attribute("data-shapes", "1")
        assert (round(value(page, "x0")), round(value(page, "y0"))) == (10, 60)
        # The same point by mouse, by keyboard and by numbers.
        drag(page, (0.1, 0.6), (0.05, 0.55))
        assert (round(value(page, "x0")), round(value(page, "y0"))) == (5, 55)
        page.locator('[data-point="0"]').focus()
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowUp")
        assert round(value(page, "y0")) == 53
        page.locator('[data-cell="y0"]').fill("50")
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Add a point after point 1")).to_be_focused()
        told = re.compile("Point 1 of Line 1: 5 % across, 50 % down")
        expect(page.locator('[data-point="0"]')).to_have_attribute("aria-label", told)
        page.locator('[data-point="0"]').focus()
        page.keyboard.press("Insert")
        expect(page.locator("[data-point]")).to_have_count(3)
        page.keyboard.press("Delete")
        expect(page.locator("[data-point]")).to_have_count(2)
        # A cell that was emptied is no nought; a touch that moves nothing leaves no step to undo.
        page.locator('[data-cell="x0"]').fill("")
        page.keyboard.press("Tab")
        assert round(value(page, "x0")) == 5
        drag(page, (0.05, 0.5), (0.05, 0.5))
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("[data-point]")).to_have_count(3)
        page.get_by_role("button", name="Undo").click()
        expect(page.locator("[data-point]")).to_have_count(2)
        page.get_by_role("button", name="Turn the inside round").click()

        # Tried before it is set: in words, and nothing is counted by it.
        def tried() -> bool:
            page.get_by_role("button", name="Try on the last minute").click()
            expect(page.locator("#tried")).to_contain_text("the box followed")
            return "would have counted" in page.locator("#tried").inner_text()

        wait_until(tried, 60, "somebody to have crossed the line that is tried")
        page.get_by_role("button", name="Where people walked").click()
        expect(page.locator("#paths .path").first).to_be_attached()
        assert counted(services, "S01-C1-L1") == 0

        # A zone for staff is called nothing of its own: only what counts is registered by a name.
        page.get_by_role("button", name="Draw a zone").click()
        page.keyboard.press("Enter")
        expect(page.locator("#shape-name")).to_be_disabled()
        page.locator("#shape-kind").select_option("count")
        expect(page.locator("#shape-name")).to_be_enabled()
        page.get_by_role("button", name="Take away").click()

        page.locator("#mounting").select_option("overhead")
        page.get_by_role("button", name="Send to the box").click()
        expect(page.get_by_role("status").first).to_contain_text("Sent to the box")
        wait_until(lambda: counted(services, "S01-C1-L1") > 0, 90, "somebody to be counted at the line")

        # Another line in its place: the counts go over to it.
        page.get_by_role("button", name="Take away").click()
        page.get_by_role("button", name="Draw a line").click()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Send to the box").click()
        kept(page, 2)
        before = counted(services, "S01-C1-L1")
        wait_until(lambda: counted(services, "S01-C1-L2") > 0, 60, "somebody to be counted at the other line")
        assert counted(services, "S01-C1-L1") - before <= 1
        expect(counts).to_have_class("done")
        expect(guide.locator(".first-steps li", has_text="A line over the door")).to_have_class("done")
        context.close()
        watch.check()
