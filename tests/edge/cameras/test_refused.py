"""A camera that refuses the box's password: said loudly, with what to do, wherever somebody may look."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.outbox import Outbox
from edge.settings import CameraSettings, LineSettings
from edge.worker import CameraWorker
from tests.fixtures.edge_time import FakeClock
from tests.fixtures.rtsp import RtspServer
from tests.fixtures.wait import wait_until


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.sqlite", FakeClock(), commit_every_s=3600)
    yield box
    box.close()


def test_a_refused_password_is_in_the_status_and_an_error_in_the_log(
    outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with RtspServer(credentials="door:right") as server:
        line = LineSettings(id="L1", start=(0.1, 0.5), end=(0.9, 0.5), inside=(0.5, 0.9))
        address = server.address(credentials="door:wr0ng-word")
        worker = CameraWorker(CameraSettings(id="C1", source=address, line=(line,)), outbox, FakeClock())
        worker.start()
        try:
            wait_until(lambda: worker.status.refused, 30, "the refusal")
        finally:
            worker.stop()
            worker.join(10)
    status = worker.status
    assert status.state == "offline"
    assert "put the right ones in its address" in status.message
    (said,) = [record for record in caplog.records if "refuses this user name" in record.getMessage()]
    assert said.levelno == logging.ERROR
    assert "wr0ng-word" not in caplog.text + status.message
