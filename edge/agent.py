"""A box, put together: a thread for each camera, one outbox, one uplink.

Nothing here counts or sends; it starts the parts in the order in which they may depend on each other, and ends them in
the order that loses nothing: cameras first, then the disk, then the last word to the server.
"""

import logging
import threading
import time
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Final

from edge.answering.answerer import Answerer
from edge.cameras.sources import FALLBACK_FPS
from edge.clock import Clock, SystemClock
from edge.fairness import FairGate
from edge.link.fallback import make_transport
from edge.link.transport import Transport
from edge.outbox import Outbox
from edge.remote.steering import VERIFY_S, Steering
from edge.settings import EdgeConfig
from edge.uplink import Backoff, Report, Uplink
from edge.worker import CameraWorker, OpenSource, open_camera

log = logging.getLogger(__name__)

#: Seconds given to cameras and to the good-bye when we are stopped: together under five.
_CAMERAS_S: Final = 2.5
_UPLINK_S: Final = 2.0
_LOOK_S: Final = 0.1


class Agent:
    """What runs on a box. `run` once."""

    def __init__(
        self,
        config: EdgeConfig,
        *,
        clock: Clock | None = None,
        transport: Transport | None = None,
        open_with: OpenSource = open_camera,
        backoff: Backoff | None = None,
        verify_s: float = VERIFY_S,
    ) -> None:
        """Open the outbox; nothing runs yet.

        Args:
            config: see `edge.config.load`.
            clock, transport, open_with, backoff: the real ones, unless a test says otherwise.
            verify_s: how long cameras have to give pictures with what the centre sets.

        Raises:
            OutboxError: when another agent holds the outbox.
        """
        settings = config.outbox
        clock = clock or SystemClock(clock_battery=config.device.clock_battery)
        self.outbox = Outbox(
            Path(settings.path),
            clock,
            # A batch that may leave after half a second must not wait a whole one for its commit.
            commit_every_s=min(settings.commit_every_s, settings.flush_after_s),
            keep_acked=timedelta(days=settings.keep_acked_days),
            quota_bytes=int(settings.quota_mb * 1024 * 1024),
            max_batch=settings.max_batch,
        )
        # After the outbox, which no two agents can hold: so nobody else is steered by the same file.
        self._steering = Steering(config, clock, verify_s=verify_s)
        self.uplink = Uplink(
            self.outbox,
            transport or make_transport(config),
            clock,
            device=config.device.name,
            flush_after_s=settings.flush_after_s,
            max_batch=settings.max_batch,
            resend_after_s=settings.resend_after_s,
            version=_version(),
            report=self._report,
            on_config=self._steering.offer,
            config_known=lambda: self._steering.standing.known,
            on_request=lambda payload: self._answerer.offer(payload),
            backoff=backoff,
        )
        gate = FairGate()
        self.workers = tuple(
            CameraWorker(
                camera,
                self.outbox,
                clock,
                on_change=self.uplink.wake,
                open_with=open_with,
                backoff=backoff,
                turns=gate.member(camera.target_fps or FALLBACK_FPS),
            )
            for camera in self._steering.cameras
        )
        self._steering.on_change = self.uplink.wake
        self._answerer = Answerer(
            config.device.name, {worker.settings.id: worker for worker in self.workers}, clock, self.uplink.reply
        )

    def run(self, stop: threading.Event, *, until_drained: bool = False) -> None:
        """Count and send until `stop` is set.

        Args:
            stop: set it, from a signal handler or another thread; we end within five seconds.
            until_drained: end also once every camera's recording has ended and the server has all of it; a camera that
                nothing is drawn for counts none.
        """
        self.outbox.start()
        self.uplink.start()
        self._answerer.start()
        for worker in self.workers:
            worker.start()
        self._steering.bind({worker.settings.id: worker for worker in self.workers})
        try:
            while not stop.wait(_LOOK_S):
                self._steering.step()
                if until_drained and all(each.ended.is_set() or not each.settings.counts for each in self.workers):
                    self.uplink.hurry()
                    if self.outbox.pending == 0:
                        return
        finally:
            self._end()

    def _end(self) -> None:
        self._answerer.stop()
        for worker in self.workers:
            worker.stop()
        until = time.monotonic() + _CAMERAS_S
        for worker in self.workers:
            worker.join(max(0.0, until - time.monotonic()))
        self.outbox.last_word()
        self.uplink.stop(_UPLINK_S)
        self.outbox.close()
        log.info("stopped; %d records wait for the server", self.outbox.pending)

    def _report(self) -> Report:
        cameras = tuple(worker.status for worker in self.workers)
        ended = {status.camera for status, worker in zip(cameras, self.workers, strict=True) if worker.ended.is_set()}
        bad = [
            f"camera {each.camera}: {each.message or each.state}"
            for each in cameras
            if each.state != "ok" and each.camera not in ended
        ]
        standing = self._steering.standing
        problem = "; ".join([*bad, *([self._steering.problem] if self._steering.problem else [])])
        return Report(cameras, problem, standing.used, standing.report)


def _version() -> str:
    try:
        return metadata.version("doorline")
    except metadata.PackageNotFoundError:
        return ""
