"""How OpenCV behaves on a box: silent on the terminal, streams over TCP, one decoding thread a camera.

Two of FFmpeg's defaults cost a box with several cameras dearly. `fflags;nobuffer`, usual for streams, throws away every
picture up to the next key frame (and 18 of 383 of a file), while the stale ones it is meant to spare us are decoded in
a few milliseconds and replaced by the newest anyway. And a decoder that works on several pictures at once hands each
out so many pictures late, and holds them all in memory.
"""

import os
from functools import cache
from typing import Final

import cv2

#: TCP, because UDP loses packets in shops' networks. OpenCV reads the variable at every opening, for files too.
_CAPTURE_OPTIONS: Final = "rtsp_transport;tcp|analyzeduration;500000|fpsprobesize;2|flags;low_delay"
#: For `cv2.VideoCapture` with CAP_FFMPEG. One thread decodes a hundred 1080p pictures a second on a small computer.
DECODER: Final = (cv2.CAP_PROP_N_THREADS, 1)

# FFmpeg's own complaints stay off the terminal: ours say what to do, theirs only alarm. It reads this one only once.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", _CAPTURE_OPTIONS)


@cache
def prepare_opencv() -> None:
    """Keep OpenCV's complaints off the terminal, too; for whoever opens or writes a video, or loads a model."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
