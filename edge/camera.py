"""Opens what a person names as a source: a file, a USB camera, a network stream, a rendered scene.

A bad file must be refused here, in one clear sentence, before the pipeline starts: OpenCV itself opens directories'
and damaged files' names without a word and then just has no frames, which would count as an empty shop. A camera that
does not answer is another matter: it is offline, and tried again for as long as it takes.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import cv2

from edge.cameras.connect import explain, explain_usb, stream_opener, usb_opener
from edge.cameras.live import LiveSource, PacedSource
from edge.cameras.sources import CameraError, Recording, Reel, Shot, SourceState, VideoSource, believable_fps, redact
from edge.cameras.stamps import Stamps
from edge.cameras.view import View
from edge.opencv import open_file

if TYPE_CHECKING:
    from edge.scene import Scene

__all__ = ["CameraError", "FileReel", "SourceState", "VideoSource", "open_source", "redact"]

_SCHEMES: Final = ("rtsp", "rtsps", "rtmp", "http", "https", "udp", "tcp")
SCENE_PREFIX: Final = "scene:"


def open_source(
    source: str | int, *, loop: bool = False, realtime: bool = False, view: View | None = None
) -> VideoSource:
    """Open a source of frames.

    Args:
        source: a path; a USB index (`0` or `"0"`); an `rtsp://`, `http://`, ... address; or `scene:name?option=...`,
            one of our rendered scenes.
        loop: begin a recording again when it is over; frame numbers and times run on.
        realtime: pace a recording by its own time and drop frames when the reader is late, as a live camera does.
        view: how often, how large and which way up it is looked at; as it comes when left out.

    Raises:
        CameraError: the source can't be used. A live camera that does not answer raises nothing: its `state` is
            `offline` until it does.
    """
    text = str(source).strip()
    if text.isdecimal():
        view = view or View()
        number = int(text)
        return LiveSource(
            usb_opener(number, view), name=f"USB camera {number}", view=view, explain=partial(explain_usb, number)
        )
    if not text.startswith(SCENE_PREFIX) and "://" in text:
        scheme = urlsplit(text).scheme.lower()
        if scheme not in _SCHEMES:
            raise CameraError(
                f"Can't open {redact(text)}: {scheme}:// is not supported. "
                f"Give a path, a USB index, or an address beginning with {', '.join(_SCHEMES)}."
            )
        return LiveSource(stream_opener(text), name=redact(text), view=view, explain=partial(explain, text))
    reel = open_reel(text)
    return PacedSource(reel, loop=loop, view=view) if realtime else Recording(reel, loop=loop, view=view)


def open_reel(text: str) -> Reel:
    """A file's or scene's frames, to be played from the beginning; raises CameraError."""
    if not text:
        raise CameraError("No source was given; name a video file, a USB index such as 0, or an rtsp:// address.")
    return _scene(text) if text.startswith(SCENE_PREFIX) else FileReel(Path(text))


def _scene(text: str) -> Reel:
    from edge.scene import open_scene  # the renderer is only for demos and tests; boxes in shops never load it

    try:
        return _Rendered(open_scene(text))
    except ValueError as error:
        raise CameraError(f"{text}: {error}") from error


class _Rendered:
    """A rendered scene as a reel; its pictures have no time stamps and need none."""

    def __init__(self, scene: "Scene") -> None:
        self._scene = scene
        self.fps, self.frame_count, self.size = scene.fps, scene.frame_count, scene.size

    def play(self) -> Iterator[Shot]:
        """Each picture in order."""
        for index, image in enumerate(self._scene.play()):
            yield Shot(index / self.fps, partial(_as_is, image))


def _as_is(image: "cv2.typing.MatLike") -> "cv2.typing.MatLike":
    return image


class FileReel:
    """A video file, tried out when made, so that a bad one is refused before anything starts.

    Attributes:
        fps: frames a second, as the header says if that can be believed.
        frame_count: as the header says, or None where it can't be.
        size: width and height in pixels.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        size_bytes = _readable_size(path)
        capture = self._open()
        found, first = capture.read()
        self.fps = believable_fps(capture.get(cv2.CAP_PROP_FPS))
        stated = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        capture.release()
        if not found:
            raise CameraError(
                f"{path} opens, but not one frame of it can be decoded: its codec is not supported, or the file "
                "is damaged. Convert it, for example: ffmpeg -i IN -c:v libx264 OUT.mp4"
            )
        self.size = (first.shape[1], first.shape[0])
        self.frame_count = _believable_count(stated, size_bytes, first.size)

    def _open(self) -> cv2.VideoCapture:
        capture = open_file(str(self._path))
        if not capture.isOpened():
            capture.release()
            raise CameraError(f"{self._path} is not a video that can be opened. MP4 (H.264), AVI and MPEG work.")
        return capture

    def play(self) -> Iterator[Shot]:
        """Each frame in order, until none can be decoded; turned as the file says that it is to be shown."""
        capture = self._open()
        stamps = Stamps(self.fps)

        def take() -> "cv2.typing.MatLike | None":
            found, picture = capture.retrieve()
            return picture if found else None

        try:
            while capture.grab():
                yield Shot(stamps.read(capture.get(cv2.CAP_PROP_POS_MSEC)), take)
        finally:
            capture.release()


def _readable_size(path: Path) -> int:
    """The file's size in bytes; raises CameraError if it can't be read or holds nothing."""
    if path.is_dir():
        raise CameraError(f"{path} is a directory. Give the path of one video file in it.")
    try:
        with path.open("rb") as stream:
            stream.read(1)
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise CameraError(f"There is no file {path}. Check the path.") from error
    except OSError as error:
        raise CameraError(f"{path} can't be read: {error.strerror or error}.") from error
    if size == 0:
        raise CameraError(f"{path} is empty (0 bytes). Was it copied completely?")
    return size


def _believable_count(stated: float, size_bytes: int, frame_bytes: int) -> int | None:
    """The header's frame count, unless the file would then hold more bytes a frame than the bare pixels.

    MPEG program streams have no count; what FFmpeg works out from their time stamps may be 4 for 383.
    """
    if not 1 <= stated < 1e9 or size_bytes / stated > frame_bytes:
        return None
    return int(stated)
