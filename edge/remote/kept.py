"""What a box was told to do, on disk: one small file that is always whole.

Everything about it stands in this one file and is replaced in one step, so that there is no moment, whenever the power
goes, in which the box knows half: what counts, what is being tried, or that something failed. It lies beside the outbox
and not beside `edge.toml`, which is its owner's, in a folder the agent often may not write.
"""

import logging
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge import partfile
from edge.outbox.store import put_aside
from wire.base import Count, Name
from wire.config import Config, ConfigReport

log = logging.getLogger(__name__)

#: The form of the file; another one is put aside, and the server tells us again.
FORM: Final = 1


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept.

    Attributes:
        device: whose it is.
        applied: what was shown to work; None while that is `edge.toml` alone.
        trying: what is in use and was not yet shown to work.
        starts: how often an agent began with what is being tried.
        watching: cameras that gave pictures when it was first tried, and so must do so with it.
        failed: what failed last; its number is not tried again.
        since: when what is tried or applied began (UTC), where the clock was set.
    """

    form: Literal[1] = FORM
    device: Name
    applied: Config | None = None
    trying: Config | None = None
    starts: Count = 0
    watching: tuple[Name, ...] = ()
    failed: ConfigReport | None = None
    since: datetime | None = None

    @property
    def used(self) -> int:
        """The revision in use that was shown to work; 0 for `edge.toml` alone."""
        return 0 if self.applied is None else self.applied.revision

    @property
    def known(self) -> int:
        """The newest revision we ever heard of."""
        failed = 0 if self.failed is None else self.failed.revision
        return max(self.used, failed, 0 if self.trying is None else self.trying.revision)


def place(outbox: str) -> Path:
    """Where it is kept: beside the outbox, by its name."""
    path = Path(outbox)
    return path.with_name(f"{path.name}.config.json")


def load(path: Path, device: str, *, own: bool = True) -> tuple[Kept, str]:
    """What is kept, and what is wrong with it (empty when nothing is).

    Args:
        path: see `place`.
        device: whose it must be.
        own: put what can't be read aside, for a person to look at; the server tells us again what we are to do.
            Only the agent, who holds the outbox, may do that.
    """
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept(device=device), ""
    except OSError as error:
        return Kept(device=device), f"{path} can't be read ({error.strerror}); counting by edge.toml alone"
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Kept(device=device), _aside(path, f"it is damaged or of another release ({error})", own=own)
    if kept.device != device:
        return Kept(device=device), _aside(path, f"it is {kept.device}'s, and this box is {device}", own=own)
    return kept, ""


def save(path: Path, kept: Kept) -> None:
    """Replace it, durably.

    Raises:
        OSError: it can't be written; what was there is there still.
    """
    partfile.replace(path, msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n", 0o600)


def _aside(path: Path, reason: str, *, own: bool) -> str:
    if not own:
        return f"{path} is not used: {reason}"
    try:
        aside = put_aside(path).name
    except OSError as error:
        log.debug("remote: %s can't be moved: %s", path, error)
        aside = path.name
    said = f"what the server had set is kept as {aside} and not used: {reason}; waiting to be told again"
    log.error("remote: %s", said)
    return said
