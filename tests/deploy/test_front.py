"""The front we hand out: a real nginx on its configuration, the web process as it is started, and who comes to it.

Only paths, ports and the web process's address are changed, so that what a chain installs can't drift away from what
was tried.
"""

import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from server.access.models import Scope
from server.services import make_services
from tests.fixtures.centre import Site
from tests.fixtures.ports import free_port
from tests.fixtures.processes import is_up, parsed, running
from tests.fixtures.skips import skip_or_fail
from tests.fixtures.wait import wait_until
from tests.server.ingest.devices import Sender, crossing
from wire.messages import Ack, BatchReply, decode

PASSWORD = "counting-doors-2026"
BATCHES = "/api/v1/batches"

pytestmark = pytest.mark.mosquitto


def find_nginx() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        skip_or_fail(
            "nginx",
            "install it (apt-get install nginx-light, brew install nginx)",
            required_by="DOORLINE_REQUIRE_NGINX",
        )
    return found


@contextmanager
def front(site: Site, web: int) -> Iterator[tuple[int, int]]:
    """Nginx on what we hand out, its certificate the broker's; gives its plain port and the one with TLS."""
    nginx, plain, tls = find_nginx(), free_port(), free_port()
    text = (Path(__file__).parents[2] / "deploy/front/nginx.conf").read_text()
    own = site.folder / "front"
    own.mkdir()
    broker = site.folder / "pki" / "broker"
    for said, meant in (
        ("/tmp/", f"{own}/"),  # first: the paths put in below may hold it
        ("/front/tls/fullchain.pem", str(broker / "broker.crt")),
        ("/front/tls/privkey.pem", str(broker / "broker.key")),
        ("/front/boxes", str(broker)),
        ("/dev/stdout", str(own / "access.log")),
        ("web:8080", f"127.0.0.1:{web}"),
        ("listen 8080;", f"listen 127.0.0.1:{plain};"),
        ("listen 8443 ssl", f"listen 127.0.0.1:{tls} ssl"),
    ):
        assert said in text, said
        text = text.replace(said, meant)
    config = own / "nginx.conf"
    # Root's workers would become a user that can't enter a test's folder.
    config.write_text(("user root;\n" if os.geteuid() == 0 else "") + text)
    with (own / "error.log").open("wb") as log:
        process = subprocess.Popen([nginx, "-c", str(config), "-g", "daemon off;"], stderr=log, stdout=log)
    try:
        wait_until(lambda: site.broker.listens(tls) or process.poll() is not None, what="nginx to listen")
        assert process.poll() is None, (own / "error.log").read_text()
        yield plain, tls
    finally:
        process.terminate()
        process.wait(10)


def context(site: Site, box: bool) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(site.folder / "pki" / "broker" / "ca.crt"))
    if box:
        own = site.config.parent / "identity"
        made.load_cert_chain(own / "device.crt", own / "device.key")
    return made


def test_people_and_boxes_come_in_by_one_door(site: Site) -> None:
    web = free_port()
    env = {
        **site.env,
        "DOORLINE_WEB_PORT": str(web),
        "DOORLINE_SECRET_KEY": "ZG9vcmxpbmUgdGVzdHMgb2YgdGhlIGZyb250ISEhISE=",
        "DOORLINE_COOKIE_SECURE": "true",
        "DOORLINE_DEVICE_NAME_HEADER": "X-Client-CN",
        "DOORLINE_DEVICE_CERTIFICATE_HEADER": "X-Client-Certificate",
    }
    told = {name: text for name, text in env.items() if name in {"DOORLINE_DSN", "DOORLINE_SECRET_KEY"}}
    with make_services(parsed(told)) as services:
        services.access.create_user(Scope.system("tests"), "chen", PASSWORD, "陈店长", "manager", ["S01"])
    site.enrol("door-1.enrol")
    with running(env, site.folder, "web"), front(site, web) as (plain, tls):
        base = f"https://localhost:{tls}"
        wait_until(lambda: is_up(f"http://127.0.0.1:{web}"), what="the pages")
        with httpx.Client(base_url=base, verify=context(site, False)) as person:
            people(site, person, plain)
            assert person.post(BATCHES, content=b"{}", headers=forged(site)).status_code == 401
        boxes(site, base)
    log = (site.folder / "front" / "access.log").read_text()
    assert " /c/- " in log
    assert "sought-secret" not in log
    assert "kept-secret" not in log


def people(site: Site, person: httpx.Client, plain: int) -> None:
    """A manager signs in and watches; where they come from can't be made up."""
    moved = httpx.get(f"http://localhost:{plain}/hq?range=7d")
    assert (moved.status_code, moved.headers["location"]) == (308, "https://localhost/hq?range=7d")
    assert "max-age" in person.get("/sign-in").headers["strict-transport-security"]
    form = {"username": "chen", "password": PASSWORD}
    assert person.post("/sign-in", data=form, headers={"Origin": "https://elsewhere.example"}).status_code == 403
    answer = person.post(
        "/sign-in", data=form, headers={"Origin": str(person.base_url), "X-Forwarded-For": "203.0.113.9"}
    )
    assert answer.status_code == 303, answer.text
    assert "secure" in answer.headers["set-cookie"].lower()
    assert site.rows("SELECT DISTINCT address FROM session") == [("127.0.0.1",)]
    with person.stream("GET", "/stores/S01/live") as live:
        first = next(live.iter_lines())
    assert first, "what is live comes at once, not when a buffer is full"
    assert person.get("/desk?q=sought-secret").status_code < 500
    assert person.get("/c/kept-secret").status_code == 404


def forged(site: Site) -> dict[str, str]:
    """The box's name and certificate, which are no secret, as headers of somebody who hasn't got its key."""
    certificate = (site.config.parent / "identity" / "device.crt").read_text()
    return {"X-Client-CN": "door-1", "X-Client-Certificate": re.sub(r"\n", "%0A", certificate)}


def boxes(site: Site, base: str) -> None:
    """A box is taken by its certificate, until it is ended: at once, though nobody told the front."""
    door = Sender()
    with httpx.Client(base_url=base, verify=context(site, True)) as box:
        now = datetime.now(UTC)
        batch = door.batch([crossing(1, at=now, camera="C1", line="L1")], sent_at=now).payload
        answer = box.post(BATCHES, content=batch)
        assert answer.status_code == 200, answer.text
        assert decode(answer.content, BatchReply).reply == Ack(epoch=door.epoch, seq=1)
        site.do("device", "revoke", "door-1")
        assert box.post(BATCHES, content=batch).status_code in {401, 403}
