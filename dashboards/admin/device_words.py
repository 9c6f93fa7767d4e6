"""How a box does, in words: connected or not, its clock, its certificate, what became of its settings."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from dashboards.entry.forms import Gettext
from dashboards.formats import NOTHING, Formats
from dashboards.i18n import N_
from server.configs.models import ConfigState, Standing
from server.provisioning.models import EnrolledDevice
from server.stores.health import SILENT_AFTER

#: A certificate that ends within this is to be rotated.
SOON: Final = timedelta(days=60)
#: Two boxes under one name are shown so long after they were last heard.
_TWINS_SAID: Final = timedelta(days=1)

FATES: Final[dict[ConfigState | None, tuple[str, str]]] = {
    None: (N_("Sent, not heard of yet"), ""),
    "trying": (N_("On trial"), "warn"),
    "applied": (N_("Kept"), "good"),
    "failed": (N_("Refused; gone back"), "bad"),
}
_OWN_FILE: Final = N_("Its own file")
_NO_CERTIFICATE: Final = N_("none; give it one")
_PASSWORD: Final = N_("signs in with a password")
_TWINS: Final = N_(
    "Two boxes sign in under this name: a copied memory card? Find the copy, then give the right one a new certificate "
    "that ends the old at once."
)
_LOST: Final = N_("It lost %(number)s records for good.")


@dataclass(frozen=True, slots=True)
class Badge:
    """A word and how it is coloured."""

    words: str
    kind: str = ""


def connection(device: EnrolledDevice, now: datetime, gettext: Gettext) -> Badge:
    """Whether it is there."""
    if device.revoked_at is not None:
        return Badge(gettext(N_("Ended")))
    if device.status_at is None:
        return Badge(gettext(N_("Never heard")), "warn")
    if not device.online:
        return Badge(gettext(N_("Away")), "bad")
    if now - device.status_at > SILENT_AFTER:
        return Badge(gettext(N_("Silent")), "bad")
    return Badge(gettext(N_("Connected")), "good")


def clock(device: EnrolledDevice, gettext: Gettext, fmt: Formats) -> Badge:
    """How its clock goes beside ours."""
    if device.status_at is None:
        return Badge(NOTHING)
    if device.skew_ms is None:
        return Badge(gettext(N_("right")))
    seconds = fmt.number(abs(device.skew_ms) / 1000)
    words = gettext(N_("%(seconds)s s ahead")) if device.skew_ms > 0 else gettext(N_("%(seconds)s s behind"))
    return Badge(words % {"seconds": seconds}, "warn")


def certificate(device: EnrolledDevice, now: datetime, gettext: Gettext, fmt: Formats) -> Badge:
    """How long what it signs in with is good."""
    if device.revoked_at is not None:
        return Badge(NOTHING)
    if not device.certificates:
        return Badge(gettext(_PASSWORD)) if device.has_password else Badge(gettext(_NO_CERTIFICATE), "bad")
    ends = device.certificates[0].not_after
    day = fmt.plain_day(ends.date())
    if ends <= now:
        return Badge(gettext(N_("expired %(day)s")) % {"day": day}, "bad")
    return Badge(day, "warn" if ends - now < SOON else "")


def fate(standing: Standing | None, gettext: Gettext) -> Badge:
    """What became of the newest settings it was given."""
    if standing is None or not standing.desired:
        return Badge(gettext(_OWN_FILE))
    words, kind = FATES[standing.state]
    return Badge(f"{gettext(words)} ({standing.desired})", kind)


def remarks(device: EnrolledDevice, now: datetime, gettext: Gettext, fmt: Formats) -> list[str]:
    """What a person should know of it besides."""
    if device.revoked_at is not None:
        return []
    found = []
    if device.twin_at is not None and now - device.twin_at < _TWINS_SAID:
        found.append(gettext(_TWINS))
    if device.problem:
        found.append(device.problem)
    if device.lost:
        found.append(gettext(_LOST) % {"number": fmt.number(device.lost)})
    if device.skew_ms is not None:
        found.append(gettext(N_("Its clock is off: turn network time on.")))
    newest, *older = device.certificates or (None,)
    if newest is not None and newest.first_seen_at is None:
        words = N_("It was not seen with its new certificate yet.") if older else N_("It is not enrolled yet.")
        found.append(gettext(words))
    return found
