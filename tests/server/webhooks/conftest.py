"""A subscriber that listens, and the service and the job that tell it."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from server.services import Services
from server.webhooks.posting import Webhooks
from server.webhooks.sending import Sender
from server.webhooks.service import WebhookService
from tests.server.conftest import TurnedClock
from tests.server.webhooks.subscriber import HERE, SEALER, Subscriber


@pytest.fixture
def subscriber() -> Iterator[Subscriber]:
    noted = Subscriber()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            noted.heard.append((dict(self.headers), body))
            status = noted.answers.pop(0) if noted.answers else 422 if noted.refuses in body else 200
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:1/inside")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"no")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    noted.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield noted
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def hooks(chain: Services, clock: TurnedClock) -> WebhookService:
    return WebhookService(chain.db, SEALER, Sender(HERE), clock)


@pytest.fixture
def job(chain: Services, clock: TurnedClock) -> Webhooks:
    return Webhooks(chain.db, SEALER, Sender(HERE), clock, dice=lambda: 1.0)
