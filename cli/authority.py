"""What `doorline pki` and `doorline device` share: the authority's folder, its passphrase, and telling the broker.

The passphrase never stands on a command line or in the environment, where others on the machine could read it. What
was ended in the database is refused by ingest at once; the broker learns of it in three further steps (a new list, a
reload, open sessions cut), each of which can fail, so each says what came of it and what to do by hand.
"""

import os
import sys
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from server.provisioning.authority import Authority
    from server.provisioning.door import Tried
    from server.provisioning.folder import PkiFolder
    from server.provisioning.models import Endpoint
    from server.settings import Settings
    from server.storage.pool import Database

_RELOAD_BY_HAND: Final = "systemctl reload mosquitto, or: docker compose kill --signal HUP mosquitto"


def folder(settings: "Settings") -> "PkiFolder":
    """The authority's folder."""
    from server.provisioning.folder import PkiFolder

    return PkiFolder(settings.pki_dir)


def unlock(settings: "Settings", pki: "PkiFolder") -> "Authority":
    """The authority, able to sign; asks for its passphrase, where there is one to unlock."""
    pki.require()
    return pki.unlock(passphrase(settings))


def passphrase(settings: "Settings", *, new: bool = False) -> str:
    """The authority's passphrase: from the file of the settings, or asked for at the terminal."""
    if settings.pki_passphrase_file is not None:
        try:
            return settings.pki_passphrase_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            fail(f"DOORLINE_PKI_PASSPHRASE_FILE: {settings.pki_passphrase_file} can't be read ({error.strerror})")
    if not sys.stdin.isatty():
        fail("there is no terminal to ask for the authority's passphrase: name a file in DOORLINE_PKI_PASSPHRASE_FILE")
    if not new:
        return str(typer.prompt("Passphrase of the authority", hide_input=True))
    from server.provisioning.folder import SHORTEST_PASSPHRASE

    asked = f"Passphrase for the new authority, of {SHORTEST_PASSPHRASE} characters or more"
    return str(typer.prompt(asked, hide_input=True, confirmation_prompt=True))


def into_file(path: Path) -> Callable[[bytes], Callable[[], None]]:
    """Hands an enrolment over into a new file that only its owner may read; never over one that is there."""

    def hand_over(content: bytes) -> Callable[[], None]:
        from server.errors import Conflict, DoorlineError

        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise Conflict(f"{path} is there already", remedy="move it away, or give another with --out") from error
        except OSError as error:
            raise DoorlineError(f"{path} can't be written ({error.strerror})", remedy="give another --out") from error
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return path.unlink

    return hand_over


def publish(
    db: "Database", pki: "PkiFolder", authority: "Authority", cut: Collection[str] = (), *, always: bool = False
) -> bool:
    """Bring the broker up to date with what the database says is ended.

    Args:
        db: says what is ended.
        pki: holds the list.
        authority: signs it.
        cut: boxes whose open sessions are to end as well.
        always: write a list even where nothing changed.

    Returns:
        whether the broker is known to refuse what it should; False where somebody has to do something by hand.
    """
    from server.provisioning.service import ProvisioningService

    service = ProvisioningService(db)
    with pki.locked():
        settled = service.settle(central.operator())
        for each in settled:
            typer.echo(f"{each.device_id}: its old certificate {each.fingerprint[:12]} ends now.")
        ended = service.ended(central.operator(), authority)
        if not always and {each.serial for each in ended} <= pki.listed:
            return True
        pki.publish(authority, ended, datetime.now(UTC))
    typer.echo(f"Wrote the revocation list: {len(ended)} certificate(s).")
    return _tell_broker(pki, sorted({*cut, *(each.device_id for each in settled)}))


def reload_broker(settings: "Settings") -> bool:
    """Have the broker read its files anew, where we know how; says what to do otherwise."""
    from server.provisioning.door import DoorError, tell_to_reload

    if not settings.broker_reload:
        _warn(f"The broker has not read it yet. Reload it ({_RELOAD_BY_HAND}), then run: doorline pki check")
        return False
    try:
        tell_to_reload(settings.broker_reload)
    except DoorError as error:
        _warn(f"The broker was NOT told: {error}\n{error.remedy}, then run: doorline pki check")
        return False
    return True


def try_door(settings: "Settings", pki: "PkiFolder", at: "Endpoint | None" = None) -> "Tried":
    """Knock at the boxes' listener, as `doorline pki check` does.

    Raises:
        DoorError: nobody answers there, or not the broker of this authority.
    """
    from server.provisioning.broker import Broker

    return Broker(settings, pki).tried(at)


def cut_session(settings: "Settings", pki: "PkiFolder", name: str) -> None:
    """End the session a box has open.

    Raises:
        DoorError: the broker can't be reached, or does not let us in.
    """
    from server.provisioning.broker import Broker

    Broker(settings, pki).cut(name)


def say_tried(tried: "Tried") -> None:
    """What came of knocking, a line each."""
    where = f"{tried.at.host}:{tried.at.port}"
    for good, said, otherwise in (
        (
            tried.knows_us,
            "lets the server in",
            "does NOT let the server in: is its certificate good? doorline pki status",
        ),
        (
            tried.has_the_list,
            "refuses what is on the newest revocation list",
            f"does NOT go by the newest revocation list: let it read its crlfile, and reload it ({_RELOAD_BY_HAND})",
        ),
        (
            tried.wants_certificates,
            "refuses who shows no certificate",
            "lets in who shows NO certificate: set require_certificate true",
        ),
    ):
        typer.echo(f"{where} {said if good else otherwise}", err=not good)


def _tell_broker(pki: "PkiFolder", cut: Collection[str]) -> bool:
    from server.provisioning.broker import Broker
    from server.provisioning.door import DoorError

    settings = central.settings()
    broker = Broker(settings, pki)
    if not reload_broker(settings):
        for name in cut:
            _warn(f"After that cut the session {name} may have open: doorline device cut {name}")
        return False
    try:
        tried = broker.tried_until_sound()
        for name in cut:
            broker.cut(name)
    except DoorError as error:
        _warn(f"Whether the broker goes by it is not known: {error}\n{error.remedy}, then run: doorline pki check")
        return False
    if not tried.sound:
        say_tried(tried)
        return False
    typer.echo("The broker goes by it" + (f"; cut the sessions of {', '.join(cut)}." if cut else "."))
    return True


def _warn(text: str) -> None:
    typer.secho(text, err=True, fg=typer.colors.YELLOW)
