"""What a person does at the centre about boxes and certificates, and what is said when it goes wrong.

By the commands typed, with mosquitto on the configuration we hand out; boxes that count are `test_enrolled_box`.
"""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from server.provisioning.authority import Authority
from server.provisioning.door import Credentials, knock
from server.provisioning.folder import PkiFolder
from server.provisioning.models import Endpoint
from tests.fixtures.centre import Site, ingesting
from tests.fixtures.pki import PASSPHRASE
from tests.fixtures.ports import free_port
from tests.fixtures.wait import wait_until

pytestmark = [
    pytest.mark.mosquitto,
    # paho leaves the socket of a failed handshake to the garbage collector, which warns.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_where_nobody_can_tell_the_broker_each_step_by_hand_is_named(site: Site) -> None:
    site.enrol("door-1.enrol")
    old = site.installed()
    done = site.run("device", "revoke", "door-1", DOORLINE_BROKER_RELOAD="")
    assert done.exit_code == 1
    assert "takes nothing from it any more" in done.stdout
    assert "The broker has not read it yet" in done.stderr
    assert "doorline device cut door-1" in done.stderr
    assert knock(site.broker.endpoint, old)
    found = site.run("pki", "check")
    assert found.exit_code == 1
    assert "does NOT go by the newest revocation list" in found.stderr

    site.broker.reload()
    wait_until(lambda: site.run("pki", "check").exit_code == 0, what="the broker to go by the list")
    assert "Cut the session of door-1" in site.do("device", "cut", "door-1")
    assert not knock(site.broker.endpoint, old)


@pytest.mark.parametrize(
    ("reload", "words"),
    [("false", "failed with status 1"), ("/nonexistent/command", "can't be run"), ("'", "can't be run")],
)
def test_a_reload_that_fails_is_not_taken_for_one(site: Site, reload: str, words: str) -> None:
    done = site.run("device", "revoke", "door-1", DOORLINE_BROKER_RELOAD=reload)
    assert done.exit_code == 1
    assert "The broker was NOT told" in done.stderr
    assert words in done.stderr


def test_a_broker_that_is_away_is_said_to_be(site: Site) -> None:
    site.broker.stop()
    done = site.run("device", "revoke", "door-1", DOORLINE_BROKER_RELOAD="true")
    assert done.exit_code == 1
    assert "Whether the broker goes by it is not known" in done.stderr
    for words in (
        ("pki", "check"),
        ("device", "cut", "door-1"),
        ("pki", "check", "--at", f"localhost:{free_port()}"),
    ):
        failed = site.run(*words)
        assert failed.exit_code == 2
        assert "can't be reached" in failed.stderr
        assert "Traceback" not in failed.output
    site.broker.start()
    site.env["DOORLINE_BROKER_RELOAD"] = site.broker.reload_command
    site.do("pki", "crl")


def test_what_a_person_gets_wrong_is_one_clear_line(site: Site) -> None:
    other = ("device", "add", "--store", "S01", "--name")
    cases = [
        ((*other, "door-1", "--out", "x.enrol"), "there is a device 'door-1' already"),
        ((*other, "door-9", "--out", "door-1.enrol"), "door-1.enrol is there already"),
        ((*other, "door-9", "--out", "nowhere/x"), "can't be written"),
        ((*other, "doorline-server"), "is kept for the server's own"),
        ((*other, "a/b"), "is not of the form"),
        (("device", "add", "--store", "S99", "--name", "door-9"), "there is no store 'S99'"),
        (("device", "rotate", "door-9"), "there is no device 'door-9'"),
        (("device", "move", "door-1", "--store", "S01"), "stands in 'S01' already"),
        (("device", "revoke", "door-9"), "there is no device 'door-9'"),
        (("pki", "init", "--host", "localhost"), "there is an authority in"),
        (("pki", "renew", "everything"), "is none of ca, broker, server"),
        (("pki", "renew", "server", "--host", "x"), "--host is for the broker"),
        (("pki", "check", "--at", "somewhere"), "is not HOST:PORT"),
    ]
    for words, said in cases:
        result = site.run(*words)
        assert result.exit_code == 2, (words, result.output)
        assert said in result.stderr, (words, result.output)
        assert "Traceback" not in result.output
    wrong = site.folder / "wrong"
    wrong.write_text("not the passphrase")
    result = site.run(*other, "door-9", DOORLINE_PKI_PASSPHRASE_FILE=str(wrong))
    assert (result.exit_code, "passphrase" in result.stderr) == (2, True)
    # Nothing of all this left a box, or a file.
    assert site.rows("SELECT device_id FROM device") == [("door-1",)]
    assert [path.name for path in site.folder.glob("*.enrol")] == ["door-1.enrol"]


def test_a_file_with_a_key_is_its_owners_only(site: Site) -> None:
    assert (site.folder / "door-1.enrol").stat().st_mode & 0o777 == 0o600


def test_status_and_renewal_of_the_authority(site: Site) -> None:
    site.enrol("door-1.enrol")
    old = site.installed()
    status = site.do("pki", "status")
    assert f"boxes are sent to localhost:{site.broker.port}" in status
    for part in ("server", "broker", "ca"):
        assert f"Renewed {part}" in site.do("pki", "renew", part)
    # The broker reads its files anew some time after it was told to.
    wait_until(lambda: site.run("pki", "check").exit_code == 0, what="the broker to go by the new files")
    assert knock(site.broker.endpoint, old)
    with psycopg.connect(site.env["DOORLINE_DSN"]) as conn:
        assert conn.execute("SELECT count(*) FROM device_certificate").fetchone() == (1,)


def test_a_stolen_key_of_the_centre_is_replaced_and_refused(site: Site) -> None:
    own = site.folder / "pki" / "server"
    stolen = Credentials(
        *[Path(shutil.copy(own / name, site.folder)) for name in ("ca.crt", "server.crt", "server.key")]
    )
    assert knock(site.broker.inner, stolen)
    for part in ("server", "broker"):
        assert f"Gave the {part} a new key" in site.do("pki", "replace", part)
    assert not knock(site.broker.inner, stolen)
    assert knock(site.broker.inner, site.broker.server)
    with ingesting(site):
        pass
    assert site.run("pki", "replace", "ca").exit_code == 2


def test_an_authority_that_is_about_to_end_says_so_years_before(site: Site, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    soon = PkiFolder(tmp_path / "soon")
    soon.create(Authority.create("soon", now, timedelta(days=4 * 365)), PASSPHRASE, Endpoint("localhost", 1), [])
    for words, status in ((("pki", "status"), 1), (("device", "list"), 0)):
        said = site.run(*words, DOORLINE_PKI_DIR=str(soon.path))
        assert said.exit_code == status
        assert "The authority ends in 14" in said.stderr
        assert "doorline pki renew ca" in said.stderr
    ended = PkiFolder(tmp_path / "ended")
    past = Authority.create("ended", now - timedelta(days=400), timedelta(days=365))
    ended.create(past, PASSPHRASE, Endpoint("localhost", 1), [])
    said = site.run("pki", "status", DOORLINE_PKI_DIR=str(ended.path))
    assert said.exit_code == 1
    assert "The certificate of ca has EXPIRED" in said.stderr
    renewed = site.run("pki", "renew", "ca", DOORLINE_PKI_DIR=str(ended.path), DOORLINE_BROKER_RELOAD="")
    assert renewed.exit_code == 0, renewed.output
    assert "of ca has EXPIRED" not in site.run("device", "list", DOORLINE_PKI_DIR=str(ended.path)).stderr
