"""The authority's files: each for those it is for, and none of them ever half there."""

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.errors import Conflict, InvalidInput, NotFound
from server.provisioning.authority import Authority, Ended, hosts_of, read_certificate, read_list
from server.provisioning.folder import CANARY, PkiError, PkiFolder
from server.provisioning.models import Endpoint
from tests.fixtures.pki import PASSPHRASE

NOW = datetime.now(UTC)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_each_folder_holds_what_its_reader_needs_and_no_key_is_readable_by_others(pki: PkiFolder) -> None:
    held = {str(path.relative_to(pki.path)): mode(path) for path in pki.path.rglob("*") if path.is_file()}
    assert held.keys() == {
        *("ca/ca.crt", "ca/ca.key", "ca/endpoint.json", "ca/canary.crt", "ca/canary.key"),
        *("broker/ca.crt", "broker/broker.crt", "broker/broker.key", "broker/crl.pem"),
        *("server/ca.crt", "server/server.crt", "server/server.key"),
    }
    assert {mode for name, mode in held.items() if name.endswith(".key")} == {0o600}
    # The broker reads its list anew when it has long become another user; one it can't read it does without.
    assert held["broker/crl.pem"] == 0o644
    assert mode(pki.path / "ca") == 0o700


def test_the_authoritys_key_is_nowhere_in_the_clear(pki: PkiFolder) -> None:
    assert (pki.path / "ca" / "ca.key").read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert pki.unlock(PASSPHRASE).issue_client("door-1", NOW)
    with pytest.raises(PkiError, match="passphrase"):
        pki.unlock("not the passphrase")


def test_a_key_that_others_may_read_is_not_used(pki: PkiFolder) -> None:
    (pki.path / "ca" / "ca.key").chmod(0o640)
    with pytest.raises(PkiError, match="may be read by others"):
        pki.unlock(PASSPHRASE)


@pytest.mark.skipif(os.name != "posix", reason="folders have other owners on POSIX alone")
def test_of_a_folder_of_somebody_else_no_authority_is_known(pki: PkiFolder) -> None:
    """As the pages' process, where the authority is the operator's alone."""
    (pki.path / "ca").chmod(0)
    is_root = os.geteuid() == 0
    if is_root:
        os.setresuid(65534, 65534, 0)
    try:
        assert not pki.exists
        with pytest.raises(NotFound):
            pki.require()
    finally:
        if is_root:
            os.setresuid(0, 0, 0)
        (pki.path / "ca").chmod(0o700)
    assert pki.exists


def test_an_authority_is_never_written_over(pki: PkiFolder) -> None:
    with pytest.raises(Conflict):
        pki.create(Authority.create("other", NOW), PASSPHRASE, Endpoint("localhost", 1), [])


def test_what_was_cut_short_can_be_made_again(tmp_path: Path) -> None:
    """Its certificate is written last, so that half a folder counts for none."""
    folder = PkiFolder(tmp_path / "pki")
    (tmp_path / "pki" / "ca").mkdir(parents=True)
    (tmp_path / "pki" / "ca" / "ca.key").write_text("half")
    assert not folder.exists
    folder.create(Authority.create("chain", NOW), PASSPHRASE, Endpoint("localhost", 8883), [])
    assert folder.unlock(PASSPHRASE)


def test_what_can_be_wrong_is_said_before_anything_is_written(tmp_path: Path) -> None:
    folder = PkiFolder(tmp_path / "pki")
    made = Authority.create("chain", NOW)
    with pytest.raises(InvalidInput, match="fewer than 12"):
        folder.create(made, "short", Endpoint("localhost", 8883), [])
    with pytest.raises(InvalidInput, match="no host name"):
        folder.create(made, PASSPHRASE, Endpoint("mqtt.example.com:8883", 8883), [])
    assert not folder.path.exists()
    for use in (lambda: folder.unlock(PASSPHRASE), folder.view, folder.locked().__enter__):
        with pytest.raises(NotFound, match="there is no certificate authority"):
            use()


def test_every_list_is_later_than_the_one_before_and_never_of_the_future(pki: PkiFolder) -> None:
    made = pki.unlock(PASSPHRASE)
    seen = [read_list((pki.path / "broker" / "crl.pem").read_bytes())]
    # Taken late: a folder is never made after the time that a list is said to be of.
    now = datetime.now(UTC)
    for _ in range(3):
        pki.publish(made, (), now)
        seen.append(read_list((pki.path / "broker" / "crl.pem").read_bytes()))
    dates, numbers = [each[0] for each in seen], [each[1] for each in seen]
    assert dates == sorted(set(dates))
    assert numbers == [1, 2, 3, 4]
    assert max(dates) < now - timedelta(minutes=50)


def test_the_canary_of_a_list_is_on_that_list_and_on_none_before(pki: PkiFolder) -> None:
    made = pki.unlock(PASSPHRASE)
    lists, canaries = [], []
    for _ in range(2):
        pki.publish(made, [Ended("abc", NOW)], NOW)
        lists.append(read_list((pki.path / "broker" / "crl.pem").read_bytes())[2])
        canary = read_certificate((pki.path / "ca" / "canary.crt").read_bytes())
        assert canary.subject.rfc4514_string() == f"CN={CANARY}"
        canaries.append(f"{canary.serial_number:x}")
    assert lists == [{"abc", canaries[0]}, {"abc", canaries[1]}]
    assert pki.view().listed == 1


def test_what_is_renewed_keeps_its_key(pki: PkiFolder) -> None:
    made = pki.unlock(PASSPHRASE)
    keys = {name: (pki.path / name).read_bytes() for name in ("broker/broker.key", "server/server.key", "ca/ca.key")}
    before = pki.view().ends
    pki.renew("broker", made, PASSPHRASE, ["mqtt2.example.com"])
    pki.renew("server", made, PASSPHRASE)
    renewed = pki.renew("ca", made, PASSPHRASE)
    assert renewed.key_id == made.key_id
    assert {name: (pki.path / name).read_bytes() for name in keys} == keys
    assert all(end >= before[part] for part, end in pki.view().ends.items())
    assert hosts_of((pki.path / "broker" / "broker.crt").read_bytes())[-1] == "mqtt2.example.com"
    assert {(pki.path / part / "ca.crt").read_bytes() for part in ("ca", "broker", "server")} == {renewed.certificate}


def test_a_damaged_file_is_named(pki: PkiFolder) -> None:
    (pki.path / "broker" / "crl.pem").write_text("nothing")
    with pytest.raises(PkiError, match="no revocation list"):
        pki.view()
    (pki.path / "ca" / "endpoint.json").write_text("{")
    with pytest.raises(PkiError, match="a file in ca/ is damaged"):
        pki.view()


def test_a_damaged_list_does_not_stand_in_the_way_of_the_next(pki: PkiFolder) -> None:
    """It is what a broker lets everybody in for."""
    made = pki.unlock(PASSPHRASE)
    path = pki.path / "broker" / "crl.pem"
    path.write_text("nothing")
    assert pki.listed == frozenset()
    pki.publish(made, [Ended("abc", NOW)], NOW)
    assert "abc" in pki.listed
    number = read_list(path.read_bytes())[1]
    path.unlink()
    pki.publish(made, (), NOW)
    assert number > 1_000_000
    assert len(pki.listed) == 1


def test_what_is_replaced_has_a_new_key_and_its_old_certificate_is_listed_for_good(pki: PkiFolder) -> None:
    made = pki.unlock(PASSPHRASE)
    old = read_certificate((pki.path / "server" / "server.crt").read_bytes())
    keys = [(pki.path / part / f"{part}.key").read_bytes() for part in ("broker", "server")]
    pki.replace("server", made)
    pki.replace("broker", made)
    for _ in range(2):
        pki.publish(made, (), NOW)
        assert f"{old.serial_number:x}" in pki.listed
        assert pki.view().listed == 2
    assert [(pki.path / part / f"{part}.key").read_bytes() for part in ("broker", "server")] != keys
    assert hosts_of((pki.path / "broker" / "broker.crt").read_bytes()) == ["localhost", "127.0.0.1"]
    with pytest.raises(InvalidInput):
        pki.renew("broker", made, PASSPHRASE, ["a b"])


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files to others")
def test_what_root_writes_belongs_to_whom_the_folder_was_given(pki: PkiFolder) -> None:
    """The broker reads its list and its certificate anew as the user it has become, and does without what it can't."""
    nobody = 65534
    for path in (pki.path / "broker", *(pki.path / "broker").iterdir()):
        os.chown(path, nobody, nobody)
    authority = pki.unlock(PASSPHRASE)
    pki.publish(authority, [], datetime.now(UTC))
    pki.replace("broker", authority)
    owners = {path.name: path.stat().st_uid for path in (pki.path / "broker").iterdir()}
    assert owners == dict.fromkeys(("ca.crt", "broker.crt", "broker.key", "crl.pem"), nobody)
    assert (pki.path / "ca" / "ca.key").stat().st_uid == 0
