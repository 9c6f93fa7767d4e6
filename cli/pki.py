"""`doorline pki`: the chain's own certificate authority, for the broker and the boxes."""

from datetime import UTC, datetime
from typing import Annotated, Final, cast, get_args

import typer

from cli import authority as shared
from cli import central
from cli.main import fail

app = typer.Typer(no_args_is_help=True, help="Keep the certificate authority of broker and boxes.")

#: A certificate of the broker or the server that ends within this is to be renewed (days).
_SOON: Final = 60


@app.command()
def init(
    host: Annotated[str, typer.Option(help="Where boxes reach the broker: a name or an address.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Its TLS port.")] = 8883,
    also: Annotated[
        list[str] | None,
        typer.Option(help="What else it is called; may be repeated. mosquitto and localhost when left out."),
    ] = None,
    name: Annotated[str, typer.Option(help="Of the authority, for people.")] = "Doorline CA",
) -> None:
    """Make the authority, the broker's and the server's certificates, and an empty revocation list.

    They go to DOORLINE_PKI_DIR: ca/ for you alone (its key under a passphrase, which is asked for), broker/ for the
    broker, server/ for the server's processes.

    Example: doorline pki init --host mqtt.example.com --also mosquitto
    """
    from server.provisioning.authority import Authority
    from server.provisioning.models import Endpoint

    settings = central.settings()
    pki = shared.folder(settings)
    secret = shared.passphrase(settings, new=True) if not pki.exists else ""
    made = Authority.create(name, datetime.now(UTC))
    pki.create(made, secret, Endpoint(host, port), also or ["mosquitto", "localhost"])
    path = pki.path.absolute()
    typer.echo(f"Made an authority in {path}, good until {made.not_after:%Y-%m-%d}.")
    typer.echo(
        f"Give {path / 'broker'} to the broker and {path / 'server'} to the server's processes, each to the user"
    )
    typer.echo(f"it runs as, such as: chown -R mosquitto {path / 'broker'}")
    typer.echo(f"Keep {path / 'ca'} and its passphrase to yourself, with a copy elsewhere: without them no box can be")
    typer.echo("added or ended, and every box would have to be enrolled anew.")
    typer.echo("Then start the broker and look who gets in: doorline pki check. How: deploy/mosquitto/README.md")


@app.command()
def status() -> None:
    """Say when the certificates expire, and what to do; leaves with status 1 when something is to be done.

    Example: doorline pki status
    """
    pki = shared.folder(central.settings())
    view = pki.view()
    typer.echo(
        f"boxes are sent to {view.endpoint.host}:{view.endpoint.port}; the broker is called {', '.join(view.hosts)}"
    )
    for part, end in view.ends.items():
        typer.echo(f"{part:7} expires {end:%Y-%m-%d}, in {(end - datetime.now(UTC)).days} days")
    typer.echo(f"{view.listed} certificate(s) on the revocation list of {view.listed_at:%Y-%m-%d %H:%M} UTC")
    found = warnings()
    for each in found:
        typer.secho(each, err=True, fg=typer.colors.YELLOW)
    raise typer.Exit(1 if found else 0)


@app.command()
def renew(
    part: Annotated[str, typer.Argument(metavar="PART", help="ca, broker or server.")],
    host: Annotated[
        list[str] | None, typer.Option(help="Something more the broker is called; may be repeated.")
    ] = None,
) -> None:
    """Give the authority, the broker or the server a certificate with a later end, for the key it has.

    Whatever was signed stays good. Boxes get a renewed authority with their next enrolment file.

    Example: doorline pki renew broker --host mqtt2.example.com
    """
    from server.provisioning.folder import Part

    if part not in get_args(Part):
        fail(f"{part!r} is none of {', '.join(get_args(Part))}")
    if host and part != "broker":
        fail("--host is for the broker")
    settings = central.settings()
    pki = shared.folder(settings)
    pki.require()
    secret = shared.passphrase(settings)
    authority = pki.unlock(secret)
    with pki.locked():
        authority = pki.renew(cast("Part", part), authority, secret, host or ())
    typer.echo(f"Renewed {part}, good until {pki.view().ends[cast('Part', part)]:%Y-%m-%d}.")
    if part == "ca":
        # The list ends when the authority does, so it needs a later end too.
        with central.database() as db:
            shared.publish(db, pki, authority, always=True)
    elif part == "broker":
        shared.reload_broker(settings)


@app.command()
def replace(part: Annotated[str, typer.Argument(metavar="PART", help="broker or server.")]) -> None:
    """Give the broker or the server a new key, and revoke its certificate: for a key that got into other hands.

    Boxes read no revocation list: to them the broker's old certificate is good until it ends, for whoever has its key
    and its address.

    Example: doorline pki replace server
    """
    if part not in ("broker", "server"):
        fail(f"{part!r} is none of broker, server. For the authority's own key: make another, and enrol every box")
    settings = central.settings()
    pki = shared.folder(settings)
    authority = shared.unlock(settings, pki)
    with pki.locked():
        pki.replace("broker" if part == "broker" else "server", authority)
    typer.echo(f"Gave the {part} a new key. Start it anew, so that it takes it up.")
    with central.database() as db:
        raise typer.Exit(0 if shared.publish(db, pki, authority, always=True) else 1)


@app.command()
def crl() -> None:
    """End what is due, write the revocation list anew from the database, and have the broker go by it.

    Due is an old certificate whose successor was seen, or whose overlap is over. Run it daily, or after a rotation.

    Example: doorline pki crl
    """
    settings = central.settings()
    pki = shared.folder(settings)
    authority = shared.unlock(settings, pki)
    with central.database() as db:
        raise typer.Exit(0 if shared.publish(db, pki, authority, always=True) else 1)


@app.command()
def check(
    at: Annotated[str, typer.Option(help="HOST:PORT; the broker's where DOORLINE_BROKER_HOST says, boxes' port.")] = "",
) -> None:
    """Knock at the broker as the server, as one who is revoked and as nobody, and say whom it lets in.

    Leaves with status 1 when it lets in somebody it should not, or not the server.

    Example: doorline pki check --at mqtt.example.com:8883
    """
    from server.provisioning.models import Endpoint

    where = None
    if at:
        host, colon, port = at.rpartition(":")
        if not colon or not port.isdecimal():
            fail(f"--at {at!r} is not HOST:PORT")
        where = Endpoint(host, int(port))
    settings = central.settings()
    tried = shared.try_door(settings, shared.folder(settings), where)
    shared.say_tried(tried)
    raise typer.Exit(0 if tried.sound else 1)


def warnings() -> list[str]:
    """What is to be done about the authority's own certificates; nothing where there is no authority."""
    from server.provisioning.authority import DEVICE_LIFE

    pki = shared.folder(central.settings())
    if not pki.exists:
        return []
    now = datetime.now(UTC)
    found = []
    for part, end in pki.view().ends.items():
        left = end - now
        if left.total_seconds() <= 0:
            found.append(f"The certificate of {part} has EXPIRED, and no box gets in: doorline pki renew {part}")
        elif part == "ca" and left < DEVICE_LIFE:
            found.append(
                f"The authority ends in {left.days} days, and no certificate outlives it: doorline pki renew ca, then"
                " give each box a new one (doorline device rotate) before it ends"
            )
        elif part != "ca" and left.days < _SOON:
            found.append(f"The certificate of {part} ends in {left.days} days: doorline pki renew {part}")
    return found
