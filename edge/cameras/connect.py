"""Connections to cameras, and why one can't be made.

OpenCV says of a stream only that it did not open. Whether the address, the password or the cable is wrong is what the
person on the ladder has to know, so the camera is asked once more in its own protocol and its answer put into words.
None of them may hold the password: they go into logs, on screens and to the server.
"""

import base64
import hashlib
import http.client
import os
import re
import secrets
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import cv2

from edge.cameras.sources import redact
from edge.cameras.view import View
from edge.opencv import DECODER, prepare_opencv

_ASK_S: Final = 4.0
_PORTS: Final = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935}
#: More of an answer than its head is of no interest (bytes).
_HEAD: Final = 16_384


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def isOpened(self) -> bool: ...  # noqa: N802, D102 - OpenCV's name
    def grab(self) -> bool: ...  # noqa: D102
    def retrieve(self) -> "tuple[bool, cv2.typing.MatLike]": ...  # noqa: D102
    def get(self, prop: int, /) -> float: ...  # noqa: D102
    def set(self, prop: int, value: float, /) -> bool: ...  # noqa: D102
    def release(self) -> None: ...  # noqa: D102


Opener = Callable[[], Capture]


def stream_opener(address: str, *, open_timeout_s: float = 10.0, read_timeout_s: float = 10.0) -> Opener:
    """Opens a network stream through FFmpeg.

    Its own time-out must be longer than the silence after which a stall is noticed, or the stall ends as an error, and
    is reported as a camera that is offline.
    """

    def open_stream() -> Capture:
        prepare_opencv()
        limits = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            int(open_timeout_s * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            int(read_timeout_s * 1000),
        ]
        return cv2.VideoCapture(address, cv2.CAP_FFMPEG, [*DECODER, *limits])

    return open_stream


def usb_opener(index: int, view: View, *, capture: Callable[[int], Capture] = cv2.VideoCapture) -> Opener:
    """Opens a camera on this machine by its number, and asks it for pictures of the wanted size and rate.

    A camera gives the nearest it can; what it gives too much is left out here.
    """

    def open_usb() -> Capture:
        prepare_opencv()
        camera = capture(index)
        if view.decode_height:
            # Cameras know pairs: asked for a height alone, most stay as wide as they were and refuse.
            camera.set(cv2.CAP_PROP_FRAME_WIDTH, round(view.decode_height * 4 / 3))
            camera.set(cv2.CAP_PROP_FRAME_HEIGHT, view.decode_height)
        if view.target_fps:
            camera.set(cv2.CAP_PROP_FPS, view.target_fps)
        # The driver's queue is a queue of old pictures.
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return camera

    return open_usb


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a camera's stream does not open.

    Attributes:
        text: for a person, with what to do where that is known.
        refused: whether the camera is there and does not take the user name and password, or asks for some: trying
            again changes nothing, and some cameras lock out who tries often.
    """

    text: str
    refused: bool = False


def usb_cameras(devices: Path = Path("/dev")) -> list[int]:
    """Numbers of the video devices Linux sees; not each of them is a camera."""
    return sorted(int(each.name[5:]) for each in devices.glob("video*") if each.name[5:].isdecimal())


def explain_usb(number: int, *, devices: Path = Path("/dev")) -> Reason:
    """Why a camera on this machine does not open, as its device file tells.

    Args:
        number: of the camera.
        devices: where Linux keeps its device files; other systems have none, and nothing is told from that.
    """
    if not sys.platform.startswith("linux"):
        return Reason(f"camera {number} does not open: is it plugged in, and may this program use the camera?")
    node = devices / f"video{number}"
    there = usb_cameras(devices)
    if not there:
        return Reason(
            f"this machine has no camera of its own (no {devices / 'video*'} at all): plug one in; in a container or "
            f"virtual machine it has to be passed through (docker: --device {node}); for a network camera, set source "
            "to its rtsp:// address"
        )
    if not node.exists():
        others = ", ".join(map(str, there))
        return Reason(
            f"there is no {node}: plug the camera in, or set source to the number of one (there are {others})"
        )
    if not os.access(node, os.R_OK | os.W_OK):
        return Reason(f"this user may not open {node}: add it to the group that owns it (often: video)")
    return Reason(f"{node} is there but gives no pictures: another program may have it open, or it is no camera")


def explain(address: str) -> Reason:
    """Why a stream does not open, as its camera answers when asked; a few seconds at most.

    Args:
        address: of the stream, with user name and password if it has them; neither the password nor its encoding is in
            what is returned.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    try:
        port = parts.port or _PORTS.get(parts.scheme.lower())
    except ValueError:
        return Reason("the port in its address is not a number")
    if not host or port is None:
        return Reason("no answer")
    try:
        if parts.scheme.lower() == "rtsp":
            return _in_words(_ask_rtsp(parts, host, port), parts)
        if parts.scheme.lower() in ("http", "https"):
            return _in_words(_ask_http(parts, host, port), parts)
        socket.create_connection((host, port), _ASK_S).close()
    except socket.gaierror:
        return Reason(f"no machine called {host} is known here")
    except TimeoutError:
        return Reason(f"{host}:{port} does not answer")
    except ConnectionRefusedError:
        return Reason(f"{host} is there, but nothing listens on its port {port}")
    except _UnknownSignInError as error:
        return Reason(f"the camera asks for a kind of sign-in not known here ({error}): set it to digest with MD5")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Reason(f"no answer from {host}:{port} ({getattr(error, 'strerror', None) or type(error).__name__})")
    return Reason(f"{host}:{port} answers, but sends no stream that can be opened")


def _in_words(status: int, parts: SplitResult) -> Reason:
    if status == 401 and parts.username is None:
        return Reason(
            "the camera asks for a user name and password: put them before the host, user:password@host", refused=True
        )
    if status in (401, 403):
        return Reason(
            "the camera refuses this user name or password: put the right ones in its address, user:password@host "
            "(in a password, write @ as %40 and / as %2F)",
            refused=True,
        )
    if status == 404:
        path = urlsplit(redact(parts.geturl())).path
        return Reason(f"the camera has no stream at {path or '/'}")
    if status == 200:
        return Reason("the camera answers, but what it sends is no stream that can be opened")
    return Reason(f"the camera answers with status {status}")


def _ask_rtsp(parts: SplitResult, host: str, port: int) -> int:
    """The status of a DESCRIBE; RFC 7826."""
    bare = parts._replace(netloc=f"[{host}]:{port}" if ":" in host else f"{host}:{port}").geturl()
    with socket.create_connection((host, port), _ASK_S) as link:
        status, head = _describe(link, bare, 1, "")
        if status == 401 and parts.username is not None and (challenge := _challenge(head)):
            status, _ = _describe(link, bare, 2, _credentials(challenge, parts, "DESCRIBE", bare))
    return status


def _describe(link: socket.socket, address: str, number: int, credentials: str) -> tuple[int, str]:
    more = f"Authorization: {credentials}\r\n" if credentials else ""
    link.sendall(
        f"DESCRIBE {address} RTSP/1.0\r\nCSeq: {number}\r\nAccept: application/sdp\r\n{more}\r\n".encode(
            errors="replace"
        )
    )
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _HEAD:
        piece = link.recv(4096)
        if not piece:
            break
        answer += piece
    head = answer.decode("latin-1")
    found = re.match(r"RTSP/\d\.\d (\d{3})", head)
    if found is None:
        raise ValueError("not an RTSP answer")
    return int(found[1]), head


def _ask_http(parts: SplitResult, host: str, port: int) -> int:
    """The status of a GET."""
    kind = http.client.HTTPSConnection if parts.scheme.lower() == "https" else http.client.HTTPConnection
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    link = kind(host, port, timeout=_ASK_S)
    try:
        link.request("GET", path)
        answer = link.getresponse()
        given = parts.username is not None
        if answer.status == 401 and given and (challenge := _challenge(str(answer.headers))):
            link.close()
            link.request("GET", path, headers={"Authorization": _credentials(challenge, parts, "GET", path)})
            answer = link.getresponse()
        return answer.status
    finally:
        link.close()


class _UnknownSignInError(Exception):
    """A camera wants to be convinced in a way that can't be tried here; that is no word about the password."""


def _challenge(head: str) -> str:
    """How a camera wants to be convinced: digest if it offers it, else what it asks for.

    Raises:
        _UnknownSignInError: it offers nothing that is known here.
    """
    found = re.findall(r"(?im)^WWW-Authenticate:\s*(.+?)\s*$", head)
    known = [each for each in found if _known(each)]
    if found and not known:
        raise _UnknownSignInError(found[0].partition(" ")[0])
    return next((each for each in known if each.lower().startswith("digest")), known[0] if known else "")


def _known(challenge: str) -> bool:
    kind = challenge.partition(" ")[0].lower()
    algorithm = re.search(r'(?i)algorithm="?([\w-]+)', challenge)
    return kind == "basic" or (kind == "digest" and (algorithm is None or algorithm[1].upper() == "MD5"))


def _credentials(challenge: str, parts: SplitResult, method: str, target: str) -> str:
    """The value of an Authorization header: basic, or digest with MD5 (RFC 7616), which is what cameras speak."""
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not challenge.lower().startswith("digest"):
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    given = {name.lower(): value for name, value in re.findall(r'(\w+)="?([^",]*)"?', challenge[6:])}
    realm, nonce = given.get("realm", ""), given.get("nonce", "")
    one, two = _md5(f"{user}:{realm}:{password}"), _md5(f"{method}:{target}")
    fields = f'username="{user}", realm="{realm}", nonce="{nonce}", uri="{target}"'
    if "auth" in given.get("qop", ""):
        mine = secrets.token_hex(8)
        response = _md5(f"{one}:{nonce}:00000001:{mine}:auth:{two}")
        return f'Digest {fields}, qop=auth, nc=00000001, cnonce="{mine}", response="{response}"'
    return f'Digest {fields}, response="{_md5(f"{one}:{nonce}:{two}")}"'


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
