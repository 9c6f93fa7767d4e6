"""What the server may ask of a box, and what a box answers: once, while somebody waits for it.

What is asked for is what the box holds in memory anyhow: the picture it sees now, made unrecognisable, and where people
walked in the last minute. None of it is a record: it has no number, is kept on no disk of the box, and is not sent
again. A request says how long the asker waits and not until when, because a box's clock may be wrong; since boxes'
sessions are clean, no broker keeps one for a box that is away.
"""

from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta

from wire.base import Count, Message, Name, Share, Utc
from wire.config import MAX_REASON, Anchor, LineConfig
from wire.messages import Direction, WireError

VERSION: Final = 1
#: Largest request and largest answer (bytes).
MAX_REQUEST: Final = 16 * 1024
MAX_ANSWER: Final = 512 * 1024
#: Largest picture (bytes of JPEG), and its width at most (pixels).
MAX_PICTURE: Final = 256 * 1024
MAX_WIDTH: Final = 1280
#: So long a box remembers where people walked, and so long an asker waits at most (seconds).
REMEMBERED_S: Final = 60
MAX_PATHS: Final = 200
MAX_PATH_POINTS: Final = 48
MAX_CROSSINGS: Final = 500

RequestId = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$(?!\n)")]
Wait = Annotated[float, Meta(gt=0, le=REMEMBERED_S)]
Span = Annotated[float, Meta(gt=0, le=REMEMBERED_S)]
#: Seconds before the newest picture.
Ago = Annotated[float, Meta(ge=0, le=REMEMBERED_S)]
Pixels = Annotated[int, Meta(ge=1, le=16384)]
PathPoint = tuple[Share, Share, Ago]


class AskSnapshot(Message, frozen=True, kw_only=True, tag_field="kind", tag="snapshot"):
    """Show what a camera sees now.

    Attributes:
        width: of the picture at most (pixels); a smaller one stays as it is.
    """

    camera: Name
    width: Annotated[int, Meta(ge=160, le=MAX_WIDTH)] = 960


class AskPaths(Message, frozen=True, kw_only=True, tag_field="kind", tag="paths"):
    """Say where people walked before a camera.

    Attributes:
        seconds: how far back.
    """

    camera: Name
    seconds: Span = REMEMBERED_S


class AskLineTest(Message, frozen=True, kw_only=True, tag_field="kind", tag="line_test"):
    """Say what a line would have counted; nothing is counted by it, and nothing changes.

    Attributes:
        line: the one that is proposed, beside the camera's others; it stands in place of one with the same id.
        seconds: how far back.
    """

    camera: Name
    line: LineConfig
    seconds: Span = REMEMBERED_S


Ask = AskSnapshot | AskPaths | AskLineTest


class Request(Message, frozen=True, kw_only=True):
    """Something asked of a box, to be answered once on `reply`, or not at all.

    Attributes:
        id: random; the answer says it back. A box never answers the same one twice while it runs.
        within_s: how long somebody waits for the answer, from when the box has it; after that it is not given.
        ask: what is wanted.
    """

    v: Literal[1] = VERSION
    device: Name
    id: RequestId
    within_s: Wait
    ask: Ask


class Snapshot(Message, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="snapshot"):
    """What a camera sees, in which nobody can be recognised.

    Attributes:
        at: when (UTC, box's clock); None where its clock was not set.
        width: of the picture (pixels), turned as the camera's settings say.
        height: of the picture (pixels).
        people: how many were found in it.
        veiled: nobody can be told from the scene yet: all of the picture is only shapes, and `people` may be too few.
            Left out where it is false, so that a server from before it was there can still be answered.
        jpeg: the picture, in base64: coarse everywhere, and only shapes where people are.
    """

    camera: Name
    at: Utc | None
    width: Pixels
    height: Pixels
    people: Count
    jpeg: Annotated[bytes, Meta(max_length=MAX_PICTURE)]
    veiled: bool = False


class Path(Message, frozen=True, kw_only=True):
    """The way of one person.

    Attributes:
        track: number of the track.
        points: in order of time: x and y as fractions of the frame, and seconds before the newest picture.
    """

    track: Count
    points: Annotated[tuple[PathPoint, ...], Meta(min_length=1, max_length=MAX_PATH_POINTS)]


class Paths(Message, frozen=True, kw_only=True, tag_field="kind", tag="paths"):
    """Where people walked.

    Attributes:
        at: of the newest picture (UTC, box's clock); None where its clock was not set.
        seconds: how far back is remembered; less than was asked for where the camera was opened since.
        anchor: which point of a body was followed.
        paths: the newest, where there were too many.
    """

    camera: Name
    at: Utc | None
    seconds: Annotated[float, Meta(ge=0, le=REMEMBERED_S)]
    anchor: Anchor
    paths: Annotated[tuple[Path, ...], Meta(max_length=MAX_PATHS)]


class TriedCrossing(Message, frozen=True, kw_only=True):
    """One crossing that the line would have counted.

    Attributes:
        ago: seconds before the newest picture.
    """

    track: Count
    direction: Direction
    ago: Ago


class LineTest(Message, frozen=True, kw_only=True, tag_field="kind", tag="line_test"):
    """What the line would have counted.

    Attributes:
        at: of the newest picture (UTC, box's clock); None where its clock was not set.
        seconds: how far back is remembered.
        people: how many were followed in that time, whether they crossed it or not.
        entries: crossings in.
        exits: crossings out.
        crossings: each of them in order of time; the newest, where there were too many.
    """

    camera: Name
    line: Name
    at: Utc | None
    seconds: Annotated[float, Meta(ge=0, le=REMEMBERED_S)]
    people: Count
    entries: Count
    exits: Count
    crossings: Annotated[tuple[TriedCrossing, ...], Meta(max_length=MAX_CROSSINGS)]


#: Why a box can't give what was asked. An asker treats those it doesn't know alike, as `failed`.
UnableCode = Literal["unknown_camera", "no_picture", "bad_line", "busy", "failed"]


class Unable(Message, frozen=True, kw_only=True, tag_field="kind", tag="unable"):
    """The box can't give it.

    Attributes:
        code: stable, for programs: unknown_camera (the box has none of that id), no_picture (none comes), bad_line (it
            could not count), busy (too much is asked at once), failed (the box's fault; its log says more).
        reason: for people: what is wrong and what to do.
    """

    code: Annotated[str, Meta(max_length=64)]
    reason: Annotated[str, Meta(max_length=MAX_REASON)]


Given = Snapshot | Paths | LineTest | Unable


class Answer(Message, frozen=True, kw_only=True):
    """What a box says to one request, once. Nobody keeps it for an asker that is gone."""

    v: Literal[1] = VERSION
    device: Name
    id: RequestId
    given: Given


T = TypeVar("T")
_request: Final = msgspec.json.Decoder(Request)
_answer: Final = msgspec.json.Decoder(Answer)


def decode_request(payload: bytes) -> Request:
    """Decode what is asked of a box.

    Raises:
        WireError: `too_large` or `wrong_message`, with the field and the reason.
    """
    return _decoded(payload, _request, MAX_REQUEST)


def decode_answer(payload: bytes) -> Answer:
    """Decode what a box answered.

    Raises:
        WireError: `too_large` or `wrong_message`, with the field and the reason.
    """
    return _decoded(payload, _answer, MAX_ANSWER)


def _decoded(payload: bytes, decoder: "msgspec.json.Decoder[T]", most: int) -> T:
    if len(payload) > most:
        raise WireError("too_large", f"payload of {len(payload)} bytes; at most {most} are taken")
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError("wrong_message", str(error)) from error
