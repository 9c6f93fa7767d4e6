"""What the authority signs does what it is for and no more, for boxes with wrong clocks and strict libraries too."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from cryptography.x509.verification import PolicyBuilder, Store

from server.provisioning.authority import (
    AUTHORITY_LIFE,
    Authority,
    AuthorityError,
    Ended,
    check_host,
    hosts_of,
    read_certificate,
    read_list,
)
from tests.fixtures.pki import PASSPHRASE, end, shake_hands

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


def test_broker_and_box_take_each_other(authority: Authority, tmp_path: Path) -> None:
    broker, box = authority.issue_broker(["localhost"], NOW), authority.issue_client("door-1", NOW)
    shake_hands(
        end(tmp_path, broker, authority.certificate, server=True),
        end(tmp_path, box, authority.certificate, server=False),
    )


def test_a_boxs_certificate_does_not_do_for_a_broker(authority: Authority, tmp_path: Path) -> None:
    """Or whoever opens one box could listen to all the others."""
    box = authority.issue_client("localhost", NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(
            end(tmp_path, box, authority.certificate, server=True),
            end(tmp_path, box, authority.certificate, server=False),
        )


def test_a_brokers_certificate_does_not_do_for_a_box(authority: Authority, tmp_path: Path) -> None:
    broker = authority.issue_broker(["localhost"], NOW)
    with pytest.raises(ssl.SSLError):
        shake_hands(
            end(tmp_path, broker, authority.certificate, server=True),
            end(tmp_path, broker, authority.certificate, server=False),
        )


def test_a_boxs_certificate_signs_nothing(authority: Authority) -> None:
    certificate = read_certificate(authority.issue_client("door-1", NOW).certificate)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    above = read_certificate(authority.certificate).extensions
    assert above.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


@pytest.mark.parametrize("at", [datetime(1970, 1, 1, 0, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC), NOW])
def test_a_box_that_thinks_it_is_another_year_still_trusts_the_broker(authority: Authority, at: datetime) -> None:
    broker = read_certificate(authority.issue_broker(["mqtt.example.com"], NOW).certificate)
    store = Store([read_certificate(authority.certificate)])
    verifier = PolicyBuilder().store(store).time(at).build_server_verifier(x509.DNSName("mqtt.example.com"))
    assert verifier.verify(broker, [])[0] == broker


def test_nothing_outlives_who_vouches_for_it() -> None:
    short = Authority.create("short", NOW, 10 * DAY)
    assert short.issue_client("door-1", NOW, 365 * DAY).not_after == short.not_after == NOW + 10 * DAY
    assert short.issue_client("door-1", NOW, 5 * DAY).not_after == NOW + 5 * DAY
    assert short.issue_broker(["localhost"], NOW).not_after == short.not_after


def test_after_a_renewal_old_and_new_take_each_other(tmp_path: Path) -> None:
    """Boxes hold the old authority for years after it was renewed."""
    old = Authority.create("chain", NOW, 30 * DAY)
    new = old.renewed(NOW)
    assert new.key_id == old.key_id
    assert new.not_after == NOW + AUTHORITY_LIFE
    for issuer in (old, new):
        broker, box = new.issue_broker(["localhost"], NOW), issuer.issue_client("door-1", NOW)
        shake_hands(
            end(tmp_path, broker, new.certificate, server=True), end(tmp_path, box, issuer.certificate, server=False)
        )


@pytest.mark.parametrize("trusting", ["old", "new"])
def test_once_it_has_expired_nobody_gets_in_until_it_is_renewed(tmp_path: Path, trusting: str) -> None:
    past = NOW - 400 * DAY
    old = Authority.create("chain", past, 365 * DAY)
    new = old.renewed(NOW)
    broker = new.issue_broker(["localhost"], NOW)
    box = old.issue_client("door-1", past)
    trusted = old.certificate if trusting == "old" else new.certificate
    with pytest.raises(ssl.SSLError):
        shake_hands(end(tmp_path, broker, trusted, server=True), end(tmp_path, box, trusted, server=False))
    fresh = new.issue_client("door-1", NOW)
    shake_hands(
        end(tmp_path, broker, new.certificate, server=True), end(tmp_path, fresh, new.certificate, server=False)
    )


def test_its_key_opens_with_its_passphrase_only() -> None:
    made = Authority.create("chain", NOW)
    stored = made.encrypted_key(PASSPHRASE.encode())
    assert stored.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert Authority.load(made.certificate, stored, PASSPHRASE.encode()).key_id == made.key_id
    with pytest.raises(AuthorityError, match="passphrase"):
        Authority.load(made.certificate, stored, b"another passphrase")
    with pytest.raises(AuthorityError, match="does not belong"):
        Authority.load(Authority.create("chain", NOW).certificate, stored, PASSPHRASE.encode())


def test_a_key_stands_in_no_representation(authority: Authority) -> None:
    assert "PRIVATE" not in repr(authority.issue_client("door-1", NOW))


def test_a_revocation_list_lasts_as_long_as_its_authority(authority: Authority) -> None:
    """Past its end OpenSSL refuses everybody, so it must not end by itself."""
    box = authority.issue_client("door-1", NOW)
    pem = authority.revocation_list([Ended(box.serial, NOW + DAY)], NOW, 7)
    assert read_list(pem) == (NOW, 7, frozenset({box.serial}))
    crl = x509.load_pem_x509_crl(pem)
    assert crl.next_update_utc == authority.not_after
    assert crl.is_signature_valid(read_certificate(authority.certificate).public_key())  # type: ignore[arg-type]
    assert crl.extensions.get_extension_for_oid(ExtensionOID.AUTHORITY_KEY_IDENTIFIER)


def test_a_broker_keeps_its_key_and_names(authority: Authority) -> None:
    first = authority.issue_broker(["mqtt.example.com", "192.0.2.7", "::1"], NOW)
    again = authority.issue_broker(hosts_of(first.certificate), NOW, first.key)
    assert hosts_of(again.certificate) == ["mqtt.example.com", "192.0.2.7", "::1"]
    assert again.key == first.key
    assert again.serial != first.serial


@pytest.mark.parametrize("host", ["mqtt.example.com", "localhost", "192.0.2.7", "2001:db8::1", "mosquitto", "a_b.c"])
def test_hosts(host: str) -> None:
    assert check_host(host) == host


@pytest.mark.parametrize(
    "host", ["", "mqtt.example.com:8883", "tls://x", "a b", "*.example.com", ".x", "x" * 65, "ü.de"]
)
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(AuthorityError):
        check_host(host)
