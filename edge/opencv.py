"""How OpenCV behaves on a box: silent on the terminal, streams over TCP and open at once, one decoding thread a camera.

FFmpeg's options come from one variable of the environment, for streams and files alike, and what is good for one is
bad for the other: cut short in its analysis, FFmpeg reads a Matroska file whose clock jumps back after half a second.
Two of its defaults and one usual option cost a box dearly. `fflags;nobuffer` throws away every picture up to the next
key frame (and 18 of 383 of a file), while the stale ones it is meant to spare us are decoded in a few milliseconds and
replaced by the newest anyway. And a decoder that works on several pictures at once hands each out so many pictures
late, and holds them all in memory.
"""

import ctypes
import os
import threading
from contextlib import suppress
from functools import cache
from typing import Final

import cv2

#: TCP, because UDP loses packets in shops' networks. FFmpeg would wait a second to measure the rate, and five for a
#: track of sound in which nothing comes.
_STREAM: Final = "rtsp_transport;tcp|analyzeduration;500000|fpsprobesize;2|flags;low_delay"
#: Not empty: without any, OpenCV has some of its own.
_FILE: Final = "rtsp_transport;tcp"
_VARIABLE: Final = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
#: For `cv2.VideoCapture` with CAP_FFMPEG. One thread decodes a hundred 1080p pictures a second on a small computer.
DECODER: Final = (cv2.CAP_PROP_N_THREADS, 1)

#: Bytes up to which freed memory is kept, the most glibc takes; and the numbers of its options (malloc.h).
_KEPT: Final = 32 * 1024 * 1024
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_opening: Final = threading.Lock()
# FFmpeg's own complaints stay off the terminal: ours say what to do, theirs only alarm. It reads this one only once.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault(_VARIABLE, _STREAM)


@cache
def prepare_opencv() -> None:
    """Keep OpenCV's complaints off the terminal, and its memory; for whoever opens or writes a video, or loads a model.

    A picture takes a megabyte or more, is made and let go of many times a second, and glibc gives such memory back to
    the system every so often: to get it anew, page by page, is a fortieth of what counting takes. Nothing is changed
    where there is no glibc.
    """
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    with suppress(OSError, AttributeError, TypeError):  # no glibc, nothing to tell it
        mallopt = ctypes.CDLL(None).mallopt
        for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            mallopt(option, _KEPT)


def open_file(path: str) -> cv2.VideoCapture:
    """A video file; whether it opened is for the caller to see.

    The options are changed for as long as a file takes to open. A stream that is opened in that moment may be read with
    those of files, which only makes it slower to open; the other way round pictures would be lost, and can't be.
    """
    prepare_opencv()
    with _opening:
        before = os.environ[_VARIABLE]
        os.environ[_VARIABLE] = _FILE
        try:
            return cv2.VideoCapture(path, cv2.CAP_FFMPEG, DECODER)
        finally:
            os.environ[_VARIABLE] = before
