"""`doorline web`: the pages and the API in one process.

The port is taken before anything else is started, so that one in use is a clear line and not a traceback after a page
of start-up messages. uvicorn's own access log stays off: it would write down the phone numbers people search for.
"""

import errno
import socket
from typing import TYPE_CHECKING, Annotated

import typer

from cli import central
from cli.main import fail

if TYPE_CHECKING:
    from fastapi import FastAPI

_BACKLOG = 2048


def web(
    host: Annotated[str, typer.Option(help="Address to listen on; DOORLINE_WEB_HOST when left out.")] = "",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; DOORLINE_WEB_PORT when left out, 0 for a free one.")
    ] = None,
) -> None:
    """Serve the pages and the API until told to stop (Ctrl-C or SIGTERM).

    The database is set by DOORLINE_DSN and its schema must be up to date (doorline db migrate); members' data is under
    DOORLINE_SECRET_KEY, without which nothing starts. Behind a proxy, DOORLINE_TRUSTED_PROXIES is its address, and it
    must pass Host on: forms are refused whose Origin is another.

    Example: doorline web --host 0.0.0.0 --port 8080
    """
    set_to = central.settings()
    listening = _take(host or set_to.web_host, set_to.web_port if port is None else port)
    with listening, central.services() as services:
        from dashboards.app import mount
        from server.app import create_app

        app = create_app(services)
        mount(app, services)
        shown, bound = listening.getsockname()[:2]
        typer.echo(f"Doorline is at http://{f'[{shown}]' if ':' in shown else shown}:{bound}")
        _serve(app, listening, set_to.trusted_proxies)


def _take(host: str, port: int) -> socket.socket:
    """A socket that listens, or a clear line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            fail(f"port {port} on {host} is in use: stop what listens there, or choose another with --port")
        if error.errno in {errno.EACCES, errno.EPERM}:
            fail(f"port {port} may not be opened by this user: choose one above 1023 with --port")
        fail(f"can't listen on {host}:{port}: {error.strerror or error}")
    return listening


def _serve(app: "FastAPI", listening: socket.socket, trusted_proxies: str) -> None:
    import uvicorn
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

    from server.middleware import Peer
    from server.patience import PatientProtocol

    class Server(uvicorn.Server):
        """Ends the live pages' streams first: an open stream is an answer that never finishes by itself."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            app.state.live.close()
            await super().shutdown(sockets)

    # A list, since "" trusts no one.
    trusted = trusted_proxies.split(",") if trusted_proxies else []
    config = uvicorn.Config(
        Peer(ProxyHeadersMiddleware(app, trusted_hosts=trusted)),  # type: ignore[arg-type]
        access_log=False,
        log_level="warning",
        server_header=False,
        http=PatientProtocol,
        lifespan="off",
        # Done above, where who really connects can be noted first; uvicorn's own reads an environment variable, too.
        proxy_headers=False,
        timeout_graceful_shutdown=10,
    )
    Server(config).run(sockets=[listening])
