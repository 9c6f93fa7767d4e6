"""What passes between the rules of provisioning, their SQL and whoever asks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

EndReason = Literal["revoked", "superseded"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where boxes find the broker: a name or address its certificate has, and the TLS port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class DeviceCertificate:
    """A certificate a box was given; times in UTC.

    Attributes:
        fingerprint: SHA-256 of its DER form.
        authority: key identifier of the CA that signed it.
        serial: hexadecimal.
        first_seen_at, last_seen_at: when its box was known to sign in with it.
        overlaps_until: set when a newer one was issued: it is taken until that one was seen, and no longer than this.
        ended_at: since when it is no longer taken.
    """

    fingerprint: str
    device_id: str
    authority: str
    serial: str
    issued_at: datetime
    not_after: datetime
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    overlaps_until: datetime | None
    ended_at: datetime | None
    end_reason: EndReason | None


@dataclass(frozen=True, slots=True)
class EnrolledDevice:
    """A box as the list of boxes shows it.

    Attributes:
        online: what it last said of itself.
        status_at: when that was (UTC).
        has_password: whether it may sign in with a password (at a broker that takes those).
        twin_at: when two boxes were last heard under this name (UTC).
        certificates: those that are taken now, newest first; more than one while one overlaps another.
        skew_ms: its clock less ours when it last sent, where it is more than tolerable; None otherwise.
        version: of its software, as it last said while it was connected; empty where it did not.
        pending: records it has yet to deliver; None where it is away and nobody knows.
        lost: records it lost for good since its outbox was made.
        problem: what is wrong with it, in its own words.
        cameras: those it reports on.
    """

    device_id: str
    store_id: str
    revoked_at: datetime | None
    online: bool
    status_at: datetime | None
    has_password: bool
    twin_at: datetime | None = None
    certificates: tuple[DeviceCertificate, ...] = ()
    skew_ms: int | None = None
    version: str = ""
    pending: int | None = None
    lost: int = 0
    problem: str = ""
    cameras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Provisioned:
    """What was issued for a box; its key is in the file that was handed over and nowhere else."""

    device_id: str
    store_id: str
    fingerprint: str
    not_after: datetime
    #: Certificates issued before it, taken until it was seen and no longer than this; None where there are none.
    overlaps_until: datetime | None = None
    #: Whether the box had been ended, and is a live one again.
    taken_back: bool = False


@dataclass(frozen=True, slots=True)
class Revoked:
    """A box that is ended.

    Attributes:
        was_live: whether it was not ended before.
        certificates: how many of its certificates were ended now.
    """

    was_live: bool
    certificates: int
