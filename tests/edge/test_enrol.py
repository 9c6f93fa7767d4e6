"""A box becomes what the file says, whole or not at all, and says what is wrong with a file in words one can act on."""

import json
import os
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from edge import config as configuration
from edge.clock import SystemClock, moment
from edge.enrol import EnrolError, enrol
from edge.identity import IdentityError, inspect
from edge.models import Crossing
from edge.outbox import Outbox
from edge.settings import ConfigError
from server.provisioning.authority import Authority
from tests.fixtures.pki import files
from wire.enrolment import Enrolment, encode

CAMERA = """
[[camera]]
id = "S01-C1"
source = "door.mp4"
mounting = "overhead"

  [[camera.line]]
  id = "S01-L1"     # the left wing of the door
  start = [0.1, 0.5]
  end = [0.9, 0.5]
  inside = [0.5, 0.9]
"""
WRITTEN = """\
# Li hung this camera in 2024.
[device]
name = "door-1"

[broker]
host = "old.example.com"
password_file = "door-1.password"

[outbox]
path = "outbox.sqlite"
"""
NOW = datetime.now(UTC).replace(microsecond=0)
MakeFile = Callable[..., Path]


@pytest.fixture
def make_file(authority: Authority, tmp_path: Path) -> MakeFile:
    """Makes enrolment files as the server does; what is to be wrong with one is given."""

    def make(device: str = "door-1", *, signer: Authority = authority, days: float = 365, **wrong: object) -> Path:
        issued = signer.issue_client(str(wrong.pop("common_name", device)), NOW, timedelta(days=days))
        fields = {
            "device": device,
            "store": "S01",
            "host": "mqtt.example.com",
            "port": 8883,
            "issued_at": NOW,
            "not_after": issued.not_after,
            "authority": authority.certificate.decode(),
            "certificate": issued.certificate.decode(),
            "key": issued.key.decode(),
            **wrong,
        }
        path = tmp_path / f"{device}-{issued.serial[:8]}.enrol"
        path.write_bytes(encode(Enrolment(**fields)))  # type: ignore[arg-type]
        return path

    return make


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """Where a box's configuration is, or is going to be."""
    folder = tmp_path / "etc"
    folder.mkdir()
    return folder / "edge.toml"


def snapshot(config: Path) -> dict[str, bytes | str]:
    """Everything there is beside a configuration."""
    return {
        str(path.relative_to(config.parent)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(config.parent.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def refused(file: Path, config: Path, words: str, *, replace: bool = False, rename: bool = False) -> EnrolError:
    """Enrolling fails with these words, and leaves everything as it was."""
    before = snapshot(config)
    with pytest.raises(EnrolError, match=words) as caught:
        enrol(file, config, replace=replace, rename=rename)
    assert snapshot(config) == before
    assert caught.value.remedy
    return caught.value


def test_a_new_box_has_a_configuration_that_lacks_its_cameras_only(make_file: MakeFile, box: Path) -> None:
    done = enrol(make_file(), box)
    assert (done.identity.name, done.new, done.replaced, done.config_made) == ("door-1", True, "", True)
    with pytest.raises(ConfigError, match="camera"):
        configuration.load(box)
    box.write_text(box.read_text() + CAMERA)
    read = configuration.load(box)
    assert read.device.name == "door-1"
    assert (read.broker.host, read.broker.port, read.broker.encrypted) == ("mqtt.example.com", 8883, True)
    seen = inspect(Path(read.broker.cert_file), Path(read.broker.key_file), Path(read.broker.ca_file))
    assert seen == done.identity
    assert configuration.warnings(read, box) == []


def test_its_key_is_for_its_owner_only(make_file: MakeFile, box: Path) -> None:
    enrol(make_file(), box)
    folder = (box.parent / "identity").resolve()
    assert stat.S_IMODE((folder / "device.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files to somebody else")
def test_root_gives_the_key_to_whom_the_agent_runs_as(make_file: MakeFile, box: Path) -> None:
    enrol(make_file(), box, owner=(65534, 65534))
    folder = (box.parent / "identity").resolve()
    assert {each.stat().st_uid for each in (folder, *folder.iterdir())} == {65534}


def test_a_configuration_that_is_there_keeps_what_a_person_wrote(make_file: MakeFile, box: Path) -> None:
    box.write_text(WRITTEN + CAMERA)
    box.chmod(0o640)
    done = enrol(make_file(), box)
    text = box.read_text()
    assert text.startswith("# Li hung this camera in 2024.\n")
    assert CAMERA in text
    assert "password_file" not in text
    assert not done.config_made
    assert done.config_changed
    assert stat.S_IMODE(box.stat().st_mode) == 0o640
    assert configuration.load(box).broker.host == "mqtt.example.com"


def test_the_same_file_again_changes_nothing(make_file: MakeFile, box: Path) -> None:
    file = make_file()
    enrol(file, box)
    before = snapshot(box)
    done = enrol(file, box)
    assert (done.new, done.config_changed) == (False, False)
    assert snapshot(box) == before


def test_an_identity_is_not_replaced_unless_told_to(make_file: MakeFile, box: Path) -> None:
    first = enrol(make_file(), box).identity
    error = refused(make_file(), box, "has an identity already")
    assert "--replace" in error.remedy
    done = enrol(make_file(), box, replace=True)
    assert first.fingerprint[:12] in done.replaced
    assert not done.config_changed
    # An old key is of no use here any more, and of some to a thief.
    assert [path.name for path in box.parent.glob("identity-*")] == [f"identity-{done.identity.fingerprint[:12]}"]


def test_a_file_for_another_box_is_refused_even_when_told_to_replace(make_file: MakeFile, box: Path) -> None:
    enrol(make_file("door-1"), box)
    other = make_file("door-2")
    for replace in (False, True):
        error = refused(other, box, r"for door-2 \(store S01\), and this box is door-1", replace=replace)
        assert "--rename" in error.remedy
    assert enrol(other, box, rename=True).identity.name == "door-2"


def test_a_box_does_not_take_its_counts_along_to_another_name(make_file: MakeFile, box: Path) -> None:
    """They would be booked in the store of the other one."""
    enrol(make_file("door-1"), box)
    other = make_file("door-2")
    clock = SystemClock()
    outbox = Outbox(box.parent / "outbox.sqlite", clock, commit_every_s=0)
    outbox.append_crossing("C1", Crossing("L1", "in", 1, 0, 0.0, 0.9, 1), moment(clock))
    outbox.flush()
    refused(other, box, "the agent is running", rename=True)
    outbox.close()
    refused(other, box, "1 records of door-1 wait", rename=True)
    (box.parent / "outbox.sqlite").unlink()
    assert enrol(other, box, rename=True).identity.name == "door-2"


def test_a_damaged_file_is_said_to_be_damaged(make_file: MakeFile, box: Path) -> None:
    file = make_file()
    whole = file.read_bytes()
    for content in (whole[:-40], whole.replace(b"mqtt.example", b"mqtt.3xample"), b"", b"\x00" * 100_000):
        file.write_bytes(content)
        refused(file, box, "can't be used")
    refused(file.with_name("nothing.enrol"), box, "can't be read")


def test_a_file_of_a_newer_doorline_says_to_upgrade(make_file: MakeFile, box: Path) -> None:
    file = make_file()
    file.write_text(json.dumps({**json.loads(file.read_text()), "doorline_enrolment": 2, "more": True}))
    assert "upgrade this box" in refused(file, box, "form 2").remedy


def test_an_expired_file_says_since_when_and_what_the_clock_says(make_file: MakeFile, box: Path) -> None:
    file = make_file(days=-1)
    refused(file, box, f"has expired on {NOW - timedelta(days=1):%Y-%m-%d}, and this box's clock says {NOW:%Y}")


def test_an_identity_that_does_not_fit_together_is_never_installed(
    make_file: MakeFile, box: Path, authority: Authority
) -> None:
    stranger = Authority.create("stranger", NOW)
    another = authority.issue_client("door-1", NOW).key.decode()
    refused(make_file(signer=stranger), box, "is not to be trusted")
    refused(make_file(key=another), box, "the key belongs to another certificate")
    refused(make_file(common_name="door-2"), box, "is door-2's, and the file says door-1")
    refused(make_file(key="-----BEGIN NOTHING-----\n"), box, "are not all certificates and a key")
    expired = make_file(days=-1, not_after=NOW + timedelta(days=9))
    refused(expired, box, "device.crt has expired")
    assert list(box.parent.iterdir()) == []


def test_an_encrypted_key_is_refused_and_not_asked_for_at_the_terminal(
    make_file: MakeFile, box: Path, authority: Authority
) -> None:
    refused(make_file(key=authority.encrypted_key(b"a passphrase of some length").decode()), box, "can't be used")


def test_a_configuration_that_can_not_be_changed_safely_is_left_with_what_to_write(
    make_file: MakeFile, box: Path
) -> None:
    box.write_text("broker = 3\n")
    error = refused(make_file(), box, "can't be changed safely")
    assert 'cert_file = "identity/device.crt"' in error.remedy
    box.write_text("[broker\n")
    refused(make_file(), box, "is not valid TOML")


def test_a_configuration_written_in_another_way_is_changed_too(make_file: MakeFile, box: Path) -> None:
    box.write_text('broker = { host = "x", password = "hush" }   # in the cellar\n')
    assert enrol(make_file(), box).config_changed
    assert "# in the cellar" in box.read_text()
    broker = tomllib.loads(box.read_text())["broker"]
    assert (broker["host"], broker["cert_file"]) == ("mqtt.example.com", "identity/device.crt")
    assert "password" not in broker


def test_a_link_to_a_configuration_stays_a_link(make_file: MakeFile, box: Path, tmp_path: Path) -> None:
    (tmp_path / "kept.toml").write_text(WRITTEN)
    box.symlink_to(tmp_path / "kept.toml")
    enrol(make_file(), box)
    assert box.is_symlink()
    assert "mqtt.example.com" in (tmp_path / "kept.toml").read_text()


def test_a_folder_of_that_name_is_not_written_over(make_file: MakeFile, box: Path) -> None:
    (box.parent / "identity").mkdir()
    (box.parent / "identity" / "notes").write_text("mine")
    (box.parent / "identity-backup").mkdir()
    refused(make_file(), box, "is in the way")
    (box.parent / "identity").rename(box.parent / "elsewhere")
    enrol(make_file(), box)
    assert (box.parent / "identity-backup").exists()


KILLED = """
import os, sys
from pathlib import Path
from edge import enrol
name, nth = sys.argv[3], int(sys.argv[4])
calls = 0
def killing(real):
    def call(*args, **more):
        global calls
        calls += 1
        if calls == nth:
            os._exit(9)
        return real(*args, **more)
    return call
for each in ("replace", "rename", "symlink_to", "chmod", "unlink"):
    setattr(Path, each, killing(getattr(Path, each)))
enrol.enrol(Path(sys.argv[1]), Path(sys.argv[2]), replace=True)
"""


#: How many steps of an installation change what is on the disk by name.
STEPS = 12


@pytest.mark.parametrize("nth", range(1, STEPS + 2))
def test_a_power_cut_at_any_step_leaves_the_old_identity_or_the_new_one(
    make_file: MakeFile, box: Path, nth: int, repository_root: Path
) -> None:
    box.write_text(WRITTEN + CAMERA)
    old = enrol(make_file(), box).identity
    box.write_text(box.read_text().replace("mqtt.example.com", "old.example.com"))
    file = make_file()
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, file, box, "x", str(nth)], cwd=repository_root, timeout=60, check=False
    )
    assert ran.returncode == (9 if nth <= STEPS else 0)
    read = configuration.load(box)
    found = inspect(Path(read.broker.cert_file), Path(read.broker.key_file), Path(read.broker.ca_file))
    done = enrol(file, box, replace=True)
    assert found in (old, done.identity)
    assert ran.returncode == 9 or found == done.identity
    assert CAMERA in box.read_text()
    assert len(list(box.parent.glob("identity-*"))) == 1


def test_what_a_broker_would_not_take_is_not_taken_here(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    broker = files(tmp_path, authority.issue_broker(["localhost"], NOW), "broker")
    with pytest.raises(IdentityError, match="is not to be trusted: unsuitable certificate purpose"):
        inspect(*broker, tmp_path / "ca.crt")
    with pytest.raises(IdentityError, match="can't be read"):
        inspect(tmp_path / "none.crt", tmp_path / "none.key", tmp_path / "ca.crt")


def test_the_command_says_what_is_next_and_fails_in_one_clear_line(make_file: MakeFile, box: Path) -> None:
    file = make_file()
    done = CliRunner().invoke(app, ["edge", "enrol", str(file), "--config", str(box)])
    assert done.exit_code == 0, done.output
    assert "This box is door-1 now" in done.output
    assert f"doorline edge check {box}" in done.output
    wrong = CliRunner().invoke(app, ["edge", "enrol", str(make_file("door-2")), "--config", str(box), "--replace"])
    assert wrong.exit_code == 2
    assert "this file is for door-2" in wrong.stderr
    assert "Traceback" not in wrong.output
    rotated = CliRunner().invoke(app, ["edge", "enrol", str(make_file()), "--config", str(box), "--replace"])
    assert "takes it up within a minute" in rotated.output


def test_a_box_needs_no_cryptography_package_for_it(make_file: MakeFile, box: Path, repository_root: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from edge.enrol import enrol;"
        "enrol(Path(sys.argv[1]), Path(sys.argv[2]));"
        "print(sorted({'cryptography', 'psycopg', 'server'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, make_file(), box],
        cwd=repository_root,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout.strip() == "[]", ran.stderr
