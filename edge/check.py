"""What would keep a box from counting or sending, found before anyone leaves the shop.

Each check tries the thing itself, a picture from the camera, a write to the disk, a sign-in at the broker, because a
setting that looks right is no evidence. The trap: signing in as the agent does would throw a running agent off the
broker and publish its last will, so the check signs in under a client name of its own and without a will.
"""

import os
import queue
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from edge import config as configuration
from edge import plausible
from edge.camera import CameraError, redact
from edge.cameras.connect import usb_cameras
from edge.clock import FLOOR, is_synchronised
from edge.detectors import DetectorError
from edge.fairness import processors
from edge.findings import Finding
from edge.geometry import LineError
from edge.link.https import HttpsTransport
from edge.link.mqtt import MqttTransport
from edge.link.signin import agent_runs, check_door, check_identity
from edge.link.transport import Closed, Event, Opened, Received
from edge.look import Look, findings, look, processors_for, save_picture
from edge.partfile import UnwritableError
from edge.settings import CameraSettings, ConfigError, EdgeConfig, OutboxSettings
from wire import messages
from wire.topics import Channel

_BROKER_S: Final = 10.0
_MB: Final = 1024 * 1024
_LEAST_FREE_MB: Final = 64


def check(config: EdgeConfig, path: Path, pictures: Path | None = None) -> Iterator[Finding]:
    """Look at everything, one finding after another; cameras and broker take some seconds each.

    Args:
        config: as loaded from `path`.
        path: of the configuration file, whose permissions are looked at too.
        pictures: a folder for a picture of each camera with its lines; nobody can be recognised in them.
    """
    yield Finding("ok", f"{path} is understood")
    try:
        yield from (Finding("warning", text) for text in configuration.warnings(config, path))
    except ConfigError as error:
        yield Finding("wrong", str(error))
    yield check_disk(config.outbox)
    yield check_clock(config.device.clock_battery)
    yield from check_cameras(config.camera, pictures)
    yield from check_identity(config)
    if config.https.url:
        yield check_https(config)
        if config.https.use == "always":
            return
    # By its certificate a box may have one session only, and that is the agent's.
    alone = not config.broker.cert_file or not agent_runs(config)
    yield check_broker(config) if alone else check_door(config.broker)


def check_disk(settings: OutboxSettings) -> Finding:
    """Whether the outbox's folder can be written durably, and has room."""
    folder = Path(settings.path).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder) as probe:
            probe.write(b"doorline")
            probe.flush()
            os.fsync(probe.fileno())
        free = shutil.disk_usage(folder).free // _MB
    except OSError as error:
        return Finding("wrong", f"disk: {folder} can't be written ({error.strerror})", _let_write(folder))
    if free < _LEAST_FREE_MB:
        return Finding("wrong", f"disk: only {free} MB are free in {folder}", "Free some space, or move outbox.path")
    if free < settings.quota_mb:
        return Finding(
            "warning",
            f"disk: {free} MB are free in {folder}, less than outbox.quota_mb = {settings.quota_mb:g}",
            f"Free some space, or set outbox.quota_mb = {free // 2}",
        )
    return Finding("ok", f"disk: {folder} can be written, {free} MB free")


def _let_write(folder: Path) -> str:
    return f"Let the agent's user write there (chown), or set outbox.path to a disk that can be written: {folder}"


def check_clock(clock_battery: bool) -> Finding:
    """Whether crossings would be dated right."""
    now = time.time()
    if now < FLOOR.timestamp():
        return Finding(
            "wrong", f"clock: it says {time.strftime('%Y-%m-%d', time.gmtime(now))}", "Set it: timedatectl set-ntp true"
        )
    if is_synchronised():
        return Finding("ok", "clock: kept by network time")
    if not clock_battery:
        return Finding(
            "wrong",
            "clock: not set by network time, and device.clock_battery = false: counts would wait until it is",
            "Let the box reach a time server: timedatectl set-ntp true",
        )
    return Finding(
        "warning", "clock: not kept by network time; it will drift", "Turn network time on: timedatectl set-ntp true"
    )


def check_cameras(cameras: Sequence[CameraSettings], pictures: Path | None = None) -> Iterator[Finding]:
    """Whether pictures come, detectors load and lines can count, and whether the box keeps up with all together."""
    needs: dict[str, float] = {}
    for camera in cameras:
        name = f"camera {camera.id}"
        try:
            seen = look(camera)
        except CameraError as error:
            yield Finding("wrong", f"{name}: {redact(str(error))}", _reach(camera.source))
            continue
        except DetectorError as error:
            yield Finding("wrong", f"{name}: {error}", "Mend detector or model in this [[camera]]")
            continue
        except LineError as error:
            yield Finding("wrong", f"{name}: {error}", "Mend the [[camera.line]] or [[camera.zone]]")
            continue
        needs[camera.id] = processors_for(camera, seen)
        yield from findings(camera, seen)
        yield from plausible.drawing(camera, seen.size)
        if pictures is not None:
            yield _picture(camera, seen, pictures)
    yield from plausible.load(needs, processors())


def _reach(source: str | int) -> str:
    """What to do about a source that gives no picture; why it gives none stands before it."""
    text = str(source)
    if text.isdecimal():
        if not usb_cameras():
            return "Plug a camera into this machine, or set source in this [[camera]] to a network camera's address"
        return "Mend source in this [[camera]], or plug the camera in; those that are there: ls /dev/video*"
    if "://" in text:
        return "Has the camera power and network? If so, mend source in this [[camera]]: address, port, path, password"
    return "Mend source in this [[camera]], or bring the file there"


def _picture(camera: CameraSettings, seen: Look, folder: Path) -> Finding:
    try:
        return Finding("ok", f"camera {camera.id}: {save_picture(camera, seen, folder)} shows its lines; look at it")
    except (OSError, UnwritableError) as error:
        return Finding("warning", f"camera {camera.id}: {error}", "Give --pictures a folder that can be written")


def check_broker(config: EdgeConfig) -> Finding:
    """Whether the broker can be reached, takes our name and password, and lets us hear answers."""
    broker = config.broker
    where = f"broker {broker.host}:{broker.port}"
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    transport = MqttTransport(config.device.name, broker, client_id=f"{config.device.name}-check-{os.getpid()}")
    until = time.monotonic() + _BROKER_S
    reason = "no answer"
    try:
        for attempt in range(3):  # a broker of the older protocol is spoken to in it by the second or third
            transport.open(attempt, events.put, None)
            event = events.get(timeout=max(0.0, until - time.monotonic()))
            if isinstance(event, Opened):
                return Finding("ok", f"{where}: signed in ({event.detail})")
            reason = getattr(event, "reason", reason)
    except queue.Empty:
        reason = f"no answer in {_BROKER_S:g} s"
    finally:
        transport.close()
    return Finding("wrong", f"{where}: {reason}", _broker_remedy(reason))


def check_https(config: EdgeConfig) -> Finding:
    """Whether the server can be reached over HTTPS and knows us: it is sent a batch that is none, and says so."""
    where = f"server {config.https.url}"
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    transport = HttpsTransport(config.device.name, config.https, config.broker)
    until = time.monotonic() + 2 * config.https.timeout_s
    try:
        transport.open(0, events.put, None)
        while True:
            match events.get(timeout=max(0.0, until - time.monotonic())):
                case Opened():
                    transport.send(Channel.BATCH, b"{}")
                case Received(payload=payload):
                    refusal = messages.decode(payload, messages.Refusal)
                    if refusal.code == "wrong_envelope":
                        return Finding("ok", f"{where}: signed in")
                    return Finding("wrong", f"{where}: {refusal.reason}", "Check broker.username and the password")
                case Closed(reason=reason):
                    remedy = "Check https.url, https.proxy and https.ca_file, the network, and the shop's firewall"
                    return Finding("wrong", f"{where}: {reason}", remedy)
    except queue.Empty:
        return Finding("wrong", f"{where}: no answer", "Check https.url and https.proxy")
    finally:
        transport.close()


def _broker_remedy(reason: str) -> str:
    if "refused us" in reason:
        return "Check broker.username and the password; on the server: doorline device --help"
    if "certificate" in reason.lower():
        return "Check broker.ca_file, and that broker.host is the name in the broker's certificate"
    if "subscribe" in reason:
        return "Check the broker's access list, and that broker.username is the device's name"
    return "Check broker.host and broker.port, the network, and the shop's firewall"
