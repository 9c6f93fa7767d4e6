"""`doorline device`: make boxes and what they sign in with, see how long that is good for, and end it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli import authority as shared
from cli import central, deviceconfig

if TYPE_CHECKING:
    from server.provisioning.models import EnrolledDevice, Provisioned

app = typer.Typer(no_args_is_help=True, help="Make boxes and what they sign in with, and end them.")
app.add_typer(
    deviceconfig.app,
    name="config",
    epilog="Example: doorline device config set door-1 door-1.toml",
)

#: Two boxes under one name are shown so long after they were last heard.
_TWINS_SAID: Final = timedelta(days=1)
#: A box's certificate that ends within this is to be rotated (days).
_SOON: Final = 60
_DEFAULT_DAYS: Final = 5 * 365

Out = Annotated[
    Path | None, typer.Option(help="The file to carry to the box; NAME.enrol in this folder when left out.")
]
Days = Annotated[int, typer.Option(min=1, help="How long its certificate is good for.")]
Name = Annotated[str, typer.Argument(metavar="NAME")]


@app.command()
def add(
    store: Annotated[str, typer.Option(help="The store it stands in.")],
    name: Annotated[str, typer.Option(help="Its name, unique in the chain; also its user name at the broker.")],
    out: Out = None,
    days: Days = _DEFAULT_DAYS,
) -> None:
    """Make a box with its key and certificate, and one file to carry to it.

    On the box: doorline edge enrol FILE. The file is the only place where the key is; delete it afterwards.

    Example: doorline device add --store S01 --name door-1
    """
    from server.provisioning.service import ProvisioningService

    settings = central.settings()
    pki = shared.folder(settings)
    path = out or Path(f"{name}.enrol")
    authority = shared.unlock(settings, pki)
    with central.database() as db:
        made = ProvisioningService(db).add_device(
            central.operator(),
            store,
            name,
            authority=authority,
            endpoint=pki.endpoint,
            hand_over=shared.into_file(path),
            life=timedelta(days=days),
        )
    typer.echo(f"Added {made.device_id} to {made.store_id}; its certificate is good until {made.not_after:%Y-%m-%d}.")
    _carry(path, "")


@app.command("add-with-password")
def add_with_password(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its broker user name, unique in the chain.")],
    store: Annotated[str, typer.Option(help="The store it stands in.")],
) -> None:
    """Make a box for a broker that takes passwords (`doorline broker`), and print its password, once.

    The password alone goes to standard output, so that it can be written to a file. The broker must be told it too.

    Example: doorline device add-with-password door-1 --store S01 > password
    """
    from server.stores.service import StoresService

    with central.database() as db:
        made = StoresService(db).add_device(central.operator(), store, name)
    typer.echo(f"Added {made.device_id} to {made.store_id}. Its password, which can't be shown again:", err=True)
    typer.echo(made.password)


@app.command("list")
def list_(store: Annotated[str | None, typer.Option(help="Only this store's.")] = None) -> None:
    """List the boxes: how long their certificates are good, what became of their configuration, what is to be done.

    Example: doorline device list --store S01
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from cli.pki import warnings
    from server.configs.service import ConfigService
    from server.provisioning.service import ProvisioningService

    with central.database() as db:
        devices = ProvisioningService(db).devices(central.operator(), store)
        standings = ConfigService(db).standings(central.operator())
    if not devices:
        typer.echo("There is no box yet. Add one: doorline device add --store S01 --name door-1")
        return
    table = Table("name", "store", "last word", "certificate", "expires", "configuration", "remark")
    now = datetime.now(UTC)
    for each in devices:
        newest = each.certificates[0] if each.certificates else None
        table.add_row(
            escape(each.device_id),
            escape(each.store_id),
            f"{each.status_at:%Y-%m-%d %H:%M} {'online' if each.online else 'offline'}" if each.status_at else "never",
            newest.fingerprint[:12] if newest else "",
            f"{newest.not_after:%Y-%m-%d}" if newest else "",
            escape(deviceconfig.remark(standings.get(each.device_id))),
            escape(_remark(each, now)),
        )
    Console().print(table)
    for text in warnings():
        typer.secho(text, err=True, fg=typer.colors.YELLOW)


@app.command()
def rotate(
    name: Name,
    out: Out = None,
    days: Days = _DEFAULT_DAYS,
    overlap_days: Annotated[
        int,
        typer.Option(
            min=0,
            max=365,
            help="The old certificate is taken until the new one was seen, and no longer than this; 0 ends it now.",
        ),
    ] = 30,
) -> None:
    """Give a box a new key and certificate, in one file to carry to it; one that was ended is taken back so.

    On the box: doorline edge enrol FILE --replace. The agent takes it up within a minute; no count is lost. With
    --overlap-days 0 the old one ends now: for a box that was stolen or replaced.

    Example: doorline device rotate door-1
    """
    from server.provisioning.service import ProvisioningService

    settings = central.settings()
    pki = shared.folder(settings)
    path = out or Path(f"{name}.enrol")
    authority = shared.unlock(settings, pki)
    with central.database() as db:
        made = ProvisioningService(db).rotate(
            central.operator(),
            name,
            authority=authority,
            endpoint=pki.endpoint,
            hand_over=shared.into_file(path),
            life=timedelta(days=days),
            overlap=timedelta(days=overlap_days),
        )
        if made.taken_back:
            typer.echo(f"{made.device_id} had been ended, and is one of {made.store_id}'s boxes again.")
        typer.echo(f"{made.device_id} has a new certificate, good until {made.not_after:%Y-%m-%d}.")
        _say_overlap(made)
        _carry(path, " --replace")
        told = shared.publish(db, pki, authority, [] if overlap_days else [name])
    raise typer.Exit(0 if told else 1)


@app.command()
def move(name: Name, store: Annotated[str, typer.Option(help="Where it is to stand.")]) -> None:
    """Put a box into another store, from its next start on; what it began to send from the old one is booked there.

    Let it send everything before it is carried over: what the server never heard of would be taken for the new store's,
    and put aside (doorline ingest dead list). Give it the new store's cameras and lines in its edge.toml.

    Example: doorline device move door-1 --store S02
    """
    from server.configs.service import ConfigService
    from server.provisioning.service import ProvisioningService

    with central.database() as db:
        before = ProvisioningService(db).move(central.operator(), name, store)
        desired = ConfigService(db).revision(central.operator(), name)
    typer.echo(f"{name} stands in {store} from its next start on; what it began to send from {before} is booked there.")
    if desired is not None and desired.camera:
        typer.echo(
            f"It is still to count {before}'s {', '.join(camera.id for camera in desired.camera)}. Set what it is to "
            f"count there: doorline device config set {name} FILE; or let its edge.toml say it: device config clear"
        )


@app.command()
def revoke(name: Name) -> None:
    """End a box: what it sends is refused from now on, its certificates too, and its session is cut.

    It keeps what it counts. To take it back: doorline device rotate NAME, and carry the new file to it. May be called
    again, where a step on the broker's side failed.

    Example: doorline device revoke door-1
    """
    from server.provisioning.service import ProvisioningService

    settings = central.settings()
    pki = shared.folder(settings)
    with central.database() as db:
        done = ProvisioningService(db).revoke(central.operator(), name)
        if done.was_live:
            typer.echo(f"Ended {name}: the server takes nothing from it any more.")
        else:
            typer.echo(f"{name} was ended already. Bringing the broker up to date:")
        if done.certificates or (pki.exists and not done.was_live):
            told = shared.publish(db, pki, shared.unlock(settings, pki), [name], always=True)
            raise typer.Exit(0 if told else 1)


@app.command()
def cut(name: Name) -> None:
    """Cut the session a box has open; it comes back at once if its certificate is good.

    Example: doorline device cut door-1
    """
    settings = central.settings()
    shared.cut_session(settings, shared.folder(settings), name)
    typer.echo(f"Cut the session of {name}, if it had one.")


def _say_overlap(made: "Provisioned") -> None:
    if made.overlaps_until is None:
        return
    typer.echo(
        f"The old one is taken until the new one was seen and `doorline pki crl` run, but not beyond "
        f"{made.overlaps_until:%Y-%m-%d}."
    )


def _carry(path: Path, option: str) -> None:
    typer.echo(f"Carry {path} to the box, and run there: doorline edge enrol {path.name}{option}")
    typer.echo("It holds the box's key. Delete it when it is installed.")


def _remark(device: "EnrolledDevice", now: datetime) -> str:
    """What a person should know or do about a box."""
    if device.revoked_at is not None:
        return f"ended {device.revoked_at:%Y-%m-%d}"
    if device.twin_at is not None and now - device.twin_at < _TWINS_SAID:
        return (
            f"TWO BOXES sign in as this one (heard {device.twin_at:%Y-%m-%d %H:%M}): a copied memory card? "
            "Find the copy; then: doorline device rotate --overlap-days 0"
        )
    remarks = [_clock(device.skew_ms)] if device.skew_ms is not None else []
    if not device.certificates:
        sign_in = "signs in with a password" if device.has_password else "has no certificate: doorline device rotate"
        return "; ".join([*remarks, sign_in])
    newest, *older = device.certificates
    left = newest.not_after - now
    if left.total_seconds() <= 0:
        return "; ".join([*remarks, "EXPIRED: doorline device rotate"])
    if newest.first_seen_at is None:
        remarks.append("new certificate not seen yet" if older else "not enrolled yet")
    if older:
        ends = min(each.overlaps_until or each.not_after for each in older)
        remarks.append(
            f"the old one ends {ends:%Y-%m-%d}" if newest.first_seen_at is None else "end the old one: doorline pki crl"
        )
    if left.days < _SOON:
        remarks.append(f"expires in {left.days} days: doorline device rotate")
    return "; ".join(remarks)


def _clock(skew_ms: int) -> str:
    """What a box's clock that is off bears on: when its crossings are booked."""
    off = timedelta(seconds=round(abs(skew_ms) / 1000))
    return f"its clock is {off} {'ahead' if skew_ms > 0 else 'behind'}: turn network time on (timedatectl set-ntp true)"
