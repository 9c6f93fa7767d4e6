"""Falling back from MQTT to HTTPS, with a real broker and a real server at either end, and the way back."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.link.fallback import FallbackTransport
from edge.link.https import HttpsTransport
from edge.link.mqtt import MqttTransport
from edge.settings import BrokerSettings, HttpsSettings
from server.ingest.broker import SERVER_USER, EmbeddedBroker
from server.ingest.service import IngestService
from server.ingest.worker import IngestWorker
from server.mqtt import BrokerAddress
from server.services import Services
from server.storage.pool import Database
from tests.edge.link.site import DEVICE, SYSTEM, Box, complete, password, services, web
from tests.fixtures.broker import SERVER_PASSWORD
from tests.fixtures.listening import listening
from tests.fixtures.ports import free_port
from tests.fixtures.proxy import Proxy
from tests.fixtures.wait import wait_until

__all__ = ["password", "services"]


@contextmanager
def working(db: Database, broker: EmbeddedBroker) -> Iterator[IngestWorker]:
    address = BrokerAddress(broker.host, broker.port, SERVER_USER, SERVER_PASSWORD, protocol=broker.protocol)
    worker = IngestWorker(IngestService(db), address)
    with listening(worker):
        yield worker


def either(settings: BrokerSettings, port: int, *, retry_s: float, least_s: float = 10.0) -> FallbackTransport:
    """MQTT, or after half a second without it HTTPS to the server at `port`."""
    https = HttpsSettings(url=f"http://127.0.0.1:{port}", proxy="none")
    return FallbackTransport(
        MqttTransport(DEVICE, settings, answer_s=0.5),
        HttpsTransport(DEVICE, https, settings),
        lambda: MqttTransport(DEVICE, settings, client_id=f"{DEVICE}-probe", answer_s=0.5),
        after_s=0.5,
        retry_s=retry_s,
        least_s=least_s,
    )


def test_https_is_taken_while_mqtt_is_shut_and_left_when_it_opens(
    services: Services, password: str, any_broker: EmbeddedBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    any_broker.add_user(DEVICE, password)
    with (
        working(services.db, any_broker) as worker,
        web(services) as port,
        Proxy(any_broker.host, any_broker.port) as firewall,
    ):
        settings = BrokerSettings(host="127.0.0.1", port=firewall.port, password=password, keepalive_s=5)
        transport = either(settings, port, retry_s=0.3)
        box = Box(tmp_path / "outbox.sqlite", transport)
        try:
            box.count(25)
            complete(services, box)
            by_mqtt = worker.counters.batches
            assert by_mqtt > 0
            firewall.cut()
            box.count(25)
            complete(services, box)
            assert "connected (HTTPS)" in caplog.text
            firewall.heal()
            wait_until(lambda: "MQTT is open again" in caplog.text, 30, "the way back")
            wait_until(lambda: box.uplink.connected, 20, "the connection")
            box.count(25)
            complete(services, box)
            wait_until(lambda: worker.counters.batches > by_mqtt, 10, "batches over MQTT again")
        finally:
            box.stop()


def test_a_broker_behind_which_nobody_listens_gives_way_too(
    services: Services, password: str, any_broker: EmbeddedBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is up and takes everything; ingest is down. Once it listens again, MQTT is left no more."""
    caplog.set_level("INFO")
    any_broker.add_user(DEVICE, password)
    with web(services) as port:
        settings = BrokerSettings(host="127.0.0.1", port=any_broker.port, password=password, keepalive_s=5)
        transport = either(settings, port, retry_s=1.5, least_s=0.0)
        box = Box(tmp_path / "outbox.sqlite", transport, resend_after_s=0.3)
        try:
            box.count(25)
            complete(services, box)
            assert "nobody answered over MQTT" in caplog.text
            assert "connected (HTTPS)" in caplog.text
            [device] = services.stores.devices(SYSTEM, "S01")
            assert device.status is not None
            assert device.status["online"] is True, "its last will must not call it dead"
            wait_until(lambda: "MQTT is open again" in caplog.text, 30, "a look whether MQTT is of use")
            box.count(25)
            complete(services, box)
            with working(services.db, any_broker) as worker:
                wait_until(lambda: box.uplink.connected, 20, "the connection")

                def by_mqtt() -> bool:
                    box.count(1)
                    return worker.counters.batches > 0

                wait_until(by_mqtt, 60, "batches over MQTT")
                caplog.clear()
                for _ in range(10):
                    box.count(1)
                    wait_until(lambda: box.outbox.pending == 0, 20, "the outbox to drain")
                complete(services, box)
        finally:
            box.stop()


def test_where_https_fails_too_both_are_tried_in_turn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = BrokerSettings(host="127.0.0.1", port=free_port(), password="x")
    https = HttpsSettings(url=f"http://127.0.0.1:{free_port()}", proxy="none")
    transport = FallbackTransport(
        MqttTransport(DEVICE, settings),
        HttpsTransport(DEVICE, https, settings),
        lambda: MqttTransport(DEVICE, settings, client_id="probe"),
        after_s=0,
        retry_s=60,
    )
    box = Box(tmp_path / "outbox.sqlite", transport)
    try:
        wait_until(lambda: {"the broker", "the server"} <= reached(caplog.text), 20, "both to be tried")
    finally:
        box.stop()


def reached(text: str) -> set[str]:
    return {what for what in ("the broker", "the server") if f"can't reach {what}" in text}
