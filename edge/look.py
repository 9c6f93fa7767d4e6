"""Looks at one camera for some seconds: how many pictures come, what is on them, and what each costs.

That a camera answers says little. It may send the same picture for ever, a tenth of the frames it was asked for, or
more of them than the box can look at; all of which would first be noticed in the numbers, weeks later. The trap in
measuring is to look while reading: a slow detector then passes for a slow camera. So reading comes first, alone.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import msgspec
import numpy as np

from edge.camera import CameraError, open_source, redact
from edge.cameras.gauge import FrameStats, Gauge
from edge.cameras.live import LiveSource
from edge.cameras.sources import VideoSource
from edge.coverage import CoverageParams
from edge.detectors import choose, detector_for
from edge.findings import Finding
from edge.models import Boxes, Frame
from edge.partfile import PartFile
from edge.pictures.drawing import INK, PAPER, Image, draw_line, draw_zone, enlarged, label, shown
from edge.pictures.privacy import veiled
from edge.pipeline import camera_pipeline
from edge.settings import CameraSettings

#: A camera that shows nothing in this time is not there; RTSP may take some seconds to begin.
_PICTURE_S: Final = 20.0
_READ_S: Final = 4.0
#: Of a recording so many frames; of a camera what comes in the time.
_FRAMES: Final = 60
_KEPT: Final = 12
_WARM: Final = 4


@dataclass(frozen=True, slots=True)
class Look:
    """What came of looking.

    Attributes:
        size: of the pictures, width and height in pixels.
        fps: pictures a second: measured of a camera, as its header says of a recording.
        read_s: processor seconds to read one picture.
        step_s: processor seconds to find, follow and count in one picture, with something to see in each.
        stats: of the newest picture.
        repeated: whether all pictures were the same.
        picture: the newest, with nobody recognisable in it.
        people: how many were found in it.
    """

    size: tuple[int, int]
    fps: float
    read_s: float
    step_s: float
    stats: FrameStats
    repeated: bool
    picture: Image
    people: int


def look(camera: CameraSettings) -> Look:
    """Look at a camera for some seconds.

    Raises:
        CameraError: no picture comes.
        DetectorError: the detector can't be loaded.
        LineError: a line or zone can't be counted.
    """
    # Gating is off while measuring: what counts is the busy hour, not the empty shop.
    detector = detector_for(msgspec.structs.replace(camera, gate=False))
    # All frames are wanted to tell how many come; how many are looked at is reckoned from that.
    view = msgspec.structs.replace(camera, target_fps=0.0).view
    with open_source(camera.source, view=view) as source:
        first = source.read(_PICTURE_S)
        if first is None:
            raise CameraError(source.problem or f"{redact(str(camera.source))} gave no picture in {_PICTURE_S:g} s")
        kept, fps, read_s, stats, repeated = _read(source, first)
    pipeline = camera_pipeline(detector, camera, first.aspect)
    people = np.empty((0, 4), np.float32)
    began = 0.0
    steps = [kept[number % len(kept)] for number in range(_WARM + 2 * _KEPT)]
    for number, frame in enumerate(steps):
        if number == _WARM:
            began = time.process_time()
        step = pipeline.step(Frame(number, number / max(fps, 1.0), frame.image))
        people = _together(people, step.detections.boxes, [track.box for track in step.tracks])
    step_s = (time.process_time() - began) / (len(steps) - _WARM)
    height, width = first.image.shape[:2]
    found = len(step.detections.boxes)
    return Look((width, height), fps, read_s, step_s, stats, repeated, veiled(steps[-1].image, people), found)


def _read(source: VideoSource, first: Frame) -> tuple[list[Frame], float, float, FrameStats, bool]:
    """Read for some seconds; returns some frames, their rate, the cost of one, how the last looks, if all are alike."""
    live = isinstance(source, LiveSource)
    gauge = Gauge()
    stats = gauge.measure(first.image)
    kept, frames, repeated = [first], 1, True
    begun, spent = time.monotonic(), time.process_time()
    last = begun
    while time.monotonic() - begun < _READ_S and (live or frames < _FRAMES):
        frame = source.read(_READ_S)
        if frame is None:
            break
        last = time.monotonic()
        frames += 1
        stats = gauge.measure(frame.image)
        repeated = repeated and stats.seen_before
        if len(kept) < _KEPT and frames % 3 == 0:
            kept.append(frame)
    read_s = (time.process_time() - spent) / max(1, frames - 1)
    fps = source.fps
    if live:
        fps = (frames - 1) / (last - begun) if last > begun else 0.0
    return kept, fps, read_s, stats, repeated and frames > 10


def _together(people: Boxes, *more: object) -> Boxes:
    """All boxes of all frames: who moved is hidden wherever they were."""
    rows = [np.asarray(each, np.float32).reshape(-1, 4) for each in more]
    return np.concatenate([people, *rows])


def findings(camera: CameraSettings, seen: Look) -> list[Finding]:
    """What is to be said of a camera that was looked at."""
    name, limits = f"camera {camera.id}", CoverageParams()
    width, height = seen.size
    found: list[Finding] = []
    if seen.stats.detail < limits.covered:
        dark = seen.stats.brightness < limits.dark
        found.append(
            Finding(
                "warning",
                f"{name}: its picture is {'dark' if dark else 'without any detail'} now; nobody would be seen",
                "Switch on the light and check again" if dark else "Is the lens covered, or out of focus? Look at it",
            )
        )
    if seen.repeated:
        found.append(
            Finding(
                "warning",
                f"{name}: the same picture comes again and again",
                "Restart the camera if someone moving before it does not change that",
            )
        )
    if camera.target_fps and seen.fps < 0.8 * camera.target_fps:
        found.append(
            Finding(
                "warning",
                f"{name}: {seen.fps:.1f} frames a second come, fewer than target_fps = {camera.target_fps:g}",
                "Raise the frame rate in the camera's own settings, or lower target_fps",
            )
        )
    if seen.fps < 5:
        found.append(
            Finding(
                "warning",
                f"{name}: at {seen.fps:.1f} frames a second people who walk fast are lost between two pictures",
                "Let the camera send ten frames a second or more",
            )
        )
    if not any(each.verdict == "wrong" for each in found):
        counted = ", ".join(
            [line.id for line in camera.line] + [zone.id for zone in camera.zone if zone.kind == "count"]
        )
        found.insert(
            0,
            Finding(
                "ok",
                f"{name}: {width}x{height}, {seen.fps:.1f} frames a second, {detector_in_words(camera)}, "
                f"{1000 * seen.step_s:.1f} ms each to look at, counting {counted or 'nothing'}",
            ),
        )
    return found


def detector_in_words(camera: CameraSettings) -> str:
    """What finds people, and, where that was left to `auto`, why it is this."""
    if camera.detector != "auto":
        return camera.detector
    model = Path(camera.model) if camera.model else None
    chosen = choose(camera.mounting, model)
    if camera.mounting == "overhead":
        why = "it looks straight down" + (f", where {model.name} would see less" if model else "")
    else:
        why = f"{model.name} is given for it" if model else "no model is given"
    return f"{chosen} (auto: {why})"


def processors_for(camera: CameraSettings, seen: Look) -> float:
    """How many processors a camera keeps busy: every picture is read, and those of `target_fps` are looked at."""
    looked = min(seen.fps, camera.target_fps) if camera.target_fps else seen.fps
    return seen.fps * seen.read_s + looked * seen.step_s


def save_picture(camera: CameraSettings, seen: Look, folder: Path) -> Path:
    """Write the camera's picture with its lines and zones, nobody recognisable; returns the file.

    Raises:
        OSError, UnwritableError: it can't be written.
    """
    image = enlarged(seen.picture)
    for number, zone in enumerate(camera.zone, 1):
        draw_zone(image, zone.zone(), name=shown(zone.id, number, "zone"))
    for number, line in enumerate(camera.line, 1):
        draw_line(image, line.line(), name=shown(line.id, number))
    label(image, f"{camera.id}   {seen.size[0]}x{seen.size[1]}", (0, 0), PAPER, INK)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{camera.id}.png"
    with PartFile(path) as part:
        if not cv2.imwrite(str(part), image):
            raise OSError(f"{path} can't be written")
    return path
