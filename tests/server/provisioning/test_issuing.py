"""Boxes made by a process that may have the authority: nothing is lost on the way, and none is made in vain."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from server.errors import InvalidInput
from server.provisioning.folder import PkiFolder
from server.provisioning.issuing import Issuing
from server.provisioning.service import ProvisioningService
from server.services import Services
from server.settings import Settings
from tests.fixtures.pki import PASSPHRASE
from tests.server.conftest import SYSTEM, TurnedClock
from wire.enrolment import decode


def test_the_one_file_of_a_box_is_handed_over_though_the_brokers_list_can_not_be_written(
    chain: Services, clock: TurnedClock, settings: Settings, pki: PkiFolder, tmp_path: Path
) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(PASSPHRASE)
    own = settings.model_copy(update={"pki_dir": pki.path, "pki_passphrase_file": passphrase})
    issuing = Issuing(ProvisioningService(chain.db, clock), own)
    first = issuing.add(SYSTEM, "S01", "door-1")
    # As with a full disk: the folder of the broker's list takes nothing.
    (pki.path / "broker").rename(tmp_path / "away")
    (pki.path / "broker").write_text("")
    carried = issuing.rotate(SYSTEM, "door-1", at_once=True)
    assert carried.told == "by_hand"
    enrolment = decode(carried.content)
    assert (enrolment.device, enrolment.key != decode(first.content).key) == ("door-1", True)
    (device,) = chain.provisioning.devices(SYSTEM, "S01")
    assert [each.fingerprint for each in device.certificates] == [carried.made.fingerprint]


def test_no_box_is_made_with_a_password_for_a_broker_that_wants_certificates(
    chain: Services, settings: Settings, pki: PkiFolder, tmp_path: Path
) -> None:
    def issuing(**more: object) -> Issuing:
        own = {"broker_password": SecretStr("x"), "pki_dir": tmp_path / "none", **more}
        return Issuing(chain.provisioning, settings.model_copy(update=own))

    certificate = pki.path / "server" / "server.crt"
    issuing().require_passwords()
    issuing(broker_cert_file=certificate, pki_dir=pki.path).require_passwords()
    with pytest.raises(InvalidInput) as refused:
        issuing(broker_cert_file=certificate).require_passwords()
    assert "operator device add" in str(refused.value.remedy)
