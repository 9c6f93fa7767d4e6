"""`doorline ingest` and `doorline broker`: what stands between the boxes and the database.

Each runs until it is told to stop (Ctrl-C or SIGTERM) and then ends in good order: a commit under way is finished and
answered. Everything of the server is imported inside the commands, so that `--help` costs nothing.
"""

import gc
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from cli import dead

ingest = typer.Typer()
ingest.add_typer(dead.app, name="dead")


@ingest.callback(invoke_without_command=True)
def take(context: typer.Context) -> None:
    """Take the boxes' batches from the broker into the database, exactly once.

    Any number may run side by side on a broker with shared subscriptions (MQTT 5). Broker and database are set by
    DOORLINE_BROKER_HOST, DOORLINE_BROKER_PORT, DOORLINE_BROKER_PASSWORD and DOORLINE_DSN; while either is away it
    waits and loses nothing.

    Example: DOORLINE_BROKER_HOST=mqtt.example.com doorline ingest
    """
    if context.invoked_subcommand is not None:
        return
    from cli import central
    from server.configs.service import ConfigService
    from server.ingest.service import IngestService
    from server.ingest.worker import IngestWorker
    from server.mqtt import BrokerAddress
    from server.storage.pool import Database

    settings = central.settings()
    address = BrokerAddress.of(settings)
    # A group of batches makes thousands of objects and drops them at once. Looking among all that was ever imported
    # for cycles each time costs more than it finds; not to look for long lets those grow that the MQTT client leaves
    # behind with each message, some 700 bytes.
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000)
    with Database(settings.dsn.get_secret_value(), min(2, settings.pool_size)) as database:
        configs = ConfigService(database)
        IngestWorker(IngestService(database), address, configs=configs).run(_told_to_stop())


def broker(
    directory: Annotated[Path, typer.Option("--dir", help="Where its configuration and passwords are kept.")] = Path(
        ".doorline/broker"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port on 127.0.0.1; 0 for a free one.")] = 1883,
    user: Annotated[
        list[str] | None, typer.Option(help="NAME:PASSWORD of a box that may sign in; may be given several times.")
    ] = None,
) -> None:
    """Run a small MQTT broker on this machine, for trying things out.

    Mosquitto when it is installed, amqtt otherwise. Everyone signs in; a box reaches its own topics only. The server's
    own password is DOORLINE_BROKER_PASSWORD.

    Example: doorline broker --user door-1:secret
    """
    from cli import central
    from server.ingest.broker import SERVER_USER, EmbeddedBroker

    own = central.settings().broker_password.get_secret_value()
    if not own:
        raise typer.BadParameter("set DOORLINE_BROKER_PASSWORD to the password the server signs in with")
    users = {SERVER_USER: own}
    for pair in user or []:
        name, colon, password = pair.partition(":")
        if not colon or not password:
            raise typer.BadParameter(f"{pair!r} is not NAME:PASSWORD", param_hint="--user")
        users[name] = password
    stop = _told_to_stop()
    with EmbeddedBroker(directory, port, users=users) as started:
        typer.echo(f"{started.kind} listens on {started.host}:{started.port}")
        while not stop.wait(0.5):
            if not started.running:
                raise typer.BadParameter(f"the broker ended by itself; see {directory / 'broker.log'}")


def _told_to_stop() -> threading.Event:
    """Set by Ctrl-C or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        if sys.platform != "win32" or number is signal.SIGINT:
            signal.signal(number, lambda *_: stop.set())
    return stop
