"""The chain's own certificate authority: it signs the broker, the server's processes and the boxes, and nothing else.

Pure: certificates out of keys, names and times that are handed in; files are `folder`'s. The traps. A box without a
clock battery believes it is 1970 when it boots, and would trust no broker whose certificate began last spring: all of
ours begin in 1970, and only their end means anything. A revocation list has an end too, past which OpenSSL refuses
everybody: ours ends with the authority. And a box's certificate must not do for a broker: each says what it is for.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from wire.enrolment import fingerprint

#: From when on everything we sign is valid: the earliest a box's clock can say.
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
AUTHORITY_LIFE: Final = timedelta(days=20 * 365)
#: Of the broker's and the server's own; renewed on the spot, so it may be shorter than a box's in a far shop.
CENTRAL_LIFE: Final = timedelta(days=3 * 365)
DEVICE_LIFE: Final = timedelta(days=5 * 365)
_LONGEST_NAME: Final = 64
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?)*")


class AuthorityError(ValueError):
    """A key or certificate that can't be read, or is not what it should be."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, both PEM.

    Attributes:
        fingerprint: SHA-256 of the certificate's DER form.
        serial: in hexadecimal.
        not_after: when it expires (UTC).
    """

    certificate: bytes
    key: bytes = field(repr=False)
    fingerprint: str
    serial: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """A certificate that is no longer to be taken: its serial number in hexadecimal, and since when (UTC)."""

    serial: str
    at: datetime


class Authority:
    """A certificate and the key that signs with it."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        """Put the two together.

        Raises:
            AuthorityError: when they don't belong together.
        """
        if certificate.public_key() != key.public_key():
            raise AuthorityError("the authority's key does not belong to its certificate")
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, name: str, now: datetime, life: timedelta = AUTHORITY_LIFE) -> Self:
        """A new authority, with a new key (ECDSA P-256)."""
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(_sign_authority(_name(name), key, now + life), key)

    @classmethod
    def load(cls, certificate: bytes, key: bytes, passphrase: bytes) -> Self:
        """Read what `certificate` and `encrypted_key` gave.

        Raises:
            AuthorityError: a wrong passphrase, or something else than these two.
        """
        try:
            private = serialization.load_pem_private_key(key, passphrase)
        except (ValueError, TypeError) as error:
            raise AuthorityError("the passphrase does not open the authority's key, or the key is damaged") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise AuthorityError("the authority's key is not of ours (ECDSA)")
        return cls(read_certificate(certificate), private)

    def renewed(self, now: datetime, life: timedelta = AUTHORITY_LIFE) -> "Authority":
        """The same name and key with a later end: whatever was signed stays good."""
        return Authority(_sign_authority(self._certificate.subject, self._key, now + life), self._key)

    @property
    def certificate(self) -> bytes:
        """Its certificate (PEM), which everybody may have."""
        return _pem(self._certificate)

    @property
    def key_id(self) -> str:
        """Identifier of its key, hexadecimal: the same after a renewal."""
        return _key_id(self._key.public_key()).digest.hex()

    @property
    def not_after(self) -> datetime:
        """When it expires (UTC), and all it signed with it."""
        return self._certificate.not_valid_after_utc

    def encrypted_key(self, passphrase: bytes) -> bytes:
        """Its key (PKCS 8, PEM) under a passphrase."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(passphrase),
        )

    def issue_client(self, name: str, now: datetime, life: timedelta = DEVICE_LIFE) -> Issued:
        """For who signs in at the broker as `name`."""
        return self._issue(name, now + life, ExtendedKeyUsageOID.CLIENT_AUTH, None, [])

    def issue_broker(self, hosts: Sequence[str], now: datetime, key: bytes | None = None) -> Issued:
        """For the broker.

        Args:
            hosts: names and addresses it is called by; the first is its common name.
            now: time of issue.
            key: the one it has already (PEM), when it is to keep it.
        """
        return self._issue(hosts[0], now + CENTRAL_LIFE, ExtendedKeyUsageOID.SERVER_AUTH, key, hosts)

    def issue_server(self, name: str, now: datetime, key: bytes | None = None) -> Issued:
        """For the server's own processes, who sign in at the broker as `name`; `key` as in `issue_broker`."""
        return self._issue(name, now + CENTRAL_LIFE, ExtendedKeyUsageOID.CLIENT_AUTH, key, [])

    def revocation_list(self, ended: Iterable[Ended], this_update: datetime, number: int) -> bytes:
        """A list (PEM) of what is no longer to be taken.

        Args:
            ended: certificates of this authority.
            this_update: its date; of two lists the later counts, and one of the future refuses everybody.
            number: grows with every list.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(this_update)
            # An authority past its end can still list; it helps nobody until it is renewed, and harms nobody.
            .next_update(max(self.not_after, this_update))
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(self._authority_key(), critical=False)
        )
        for each in ended:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(int(each.serial, 16))
                .revocation_date(min(each.at, this_update))
                .build()
            )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _issue(
        self, name: str, not_after: datetime, purpose: ObjectIdentifier, key: bytes | None, hosts: Sequence[str]
    ) -> Issued:
        private = ec.generate_private_key(ec.SECP256R1()) if key is None else _private_key(key)
        # Nothing outlives who vouches for it: a chain with an expired head is refused whatever its foot says.
        builder = (
            _builder(_name(name), self._certificate.subject, private, min(not_after, self.not_after))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(self._authority_key(), critical=False)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        signed = builder.sign(self._key, hashes.SHA256())
        return Issued(
            certificate=_pem(signed),
            key=private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            fingerprint=fingerprint(signed.public_bytes(serialization.Encoding.DER)),
            serial=f"{signed.serial_number:x}",
            not_after=signed.not_valid_after_utc,
        )

    def _authority_key(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())


def read_certificate(pem: bytes) -> x509.Certificate:
    """A certificate from its PEM form.

    Raises:
        AuthorityError: when it is none.
    """
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise AuthorityError(f"no certificate: {error}") from error


def hosts_of(certificate: bytes) -> list[str]:
    """The names and addresses a broker's certificate (PEM) was issued for, in order."""
    names = read_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(each.value) for each in names]


def read_list(pem: bytes) -> tuple[datetime, int, frozenset[str]]:
    """Date (UTC), number and serial numbers (hexadecimal) of a revocation list.

    Raises:
        AuthorityError: when it is none of ours.
    """
    try:
        found = x509.load_pem_x509_crl(pem)
        number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (ValueError, x509.ExtensionNotFound) as error:
        raise AuthorityError(f"no revocation list: {error}") from error
    return found.last_update_utc, number, frozenset(f"{each.serial_number:x}" for each in found)


def check_host(host: str) -> str:
    """Return `host` when it is a host name or an address.

    Raises:
        AuthorityError: for anything else.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError as error:
        if len(host) > _LONGEST_NAME or not _HOST.fullmatch(host):
            raise AuthorityError(
                f"{host!r} is no host name or address (without port; at most {_LONGEST_NAME} characters)"
            ) from error
    return host


def _sign_authority(name: x509.Name, key: ec.EllipticCurvePrivateKey, not_after: datetime) -> x509.Certificate:
    return (
        _builder(name, name, key, not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGINNING)
        .not_valid_after(not_after)
        .add_extension(_key_id(key.public_key()), critical=False)
    )


def _key_id(key: ec.EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise AuthorityError(f"a private key can't be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AuthorityError("a private key is not of ours (ECDSA)")
    return key


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
