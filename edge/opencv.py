"""How OpenCV behaves on a box: silent on the terminal, and streams over TCP.

OpenCV reads these settings from the environment, once, when the process makes its first capture or writes its first
video. So they are set when this module is imported, before anyone can; set later they do nothing, silently.
"""

import os
from functools import cache
from typing import Final

import cv2

#: Streams are carried over TCP (UDP loses packets in shops' networks) and recognised in half a second instead of three.
#: The one variable holds for streams and files alike, so it must not have `fflags;nobuffer`, usual for streams: a file
#: then loses its first frames, 18 of 383 on one clip and 80 of 795 on another, with not a word said.
_CAPTURE_OPTIONS: Final = "rtsp_transport;tcp|analyzeduration;500000|flags;low_delay"

# FFmpeg's own complaints stay off the terminal: ours say what to do, theirs only alarm.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", _CAPTURE_OPTIONS)


@cache
def prepare_opencv() -> None:
    """Keep OpenCV's complaints off the terminal, too; for whoever opens or writes a video, or loads a model."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
