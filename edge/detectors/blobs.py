"""From a foreground mask to boxes of people: what belongs together is joined, what is more than one is divided.

A coat the colour of the wall cuts a person in two, a pair in step makes one blob. Both are told by size, and the size
of a person depends on the place in the picture, so it is learnt from blobs that are surely one person (see `sizes`).
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.detectors.abreast import crowd, parted
from edge.detectors.pixels import Mask, box_of
from edge.detectors.shapes import Blob
from edge.detectors.sizes import SizeModel
from edge.models import Mounting

Floats = NDArray[np.float32]

_CLOSE: Final = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 7))
_CLOSE_ROUND: Final = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
#: Share of a body, on each side, that may be fringe: a streak of shadow, a reflection, an arm stretched out.
_FRAYED: Final[dict[Mounting, float]] = {"oblique": 0.03, "overhead": 0.05}
#: Of that, what may be taken off at the top: seen obliquely a head is narrow there, and shadows seldom lie above it.
_AT_HEAD: Final[dict[Mounting, float]] = {"oblique": 0.4, "overhead": 1.0}
#: A part of a blob that goes on this share of a person below where the feet should be has another's legs in it.
_LEGS_OF_ANOTHER: Final = 0.15
#: What may be taken off at the feet of a part of a blob that was trimmed itself.
_FOOT: Final = 0.01
#: Share of a person's width that a part of a blob has at least.
_NARROWEST: Final = 0.45
#: Pictures that must agree, of how many that are remembered; and the overlap by which a blob is the same in the next.
_AGREED: Final = 2
_MOST_VOTES: Final = 5
_SAME: Final = 0.4
#: Of every so many pictures one is remembered, and so many in all, to see what has moved; the overlap from which on a
#: blob has not.
_APART: Final = 6
_REMEMBERED: Final = 12
_UNMOVED: Final = 0.75
#: Share of a person's height at which something may be a head, a child's beside an adult's too.
_HEAD: Final = 0.6
_HEAD_WIDE: Final = 0.15  # of a person's height: how wide a head is
_DIP: Final = 0.1  # of a person's height: how far it goes down between two heads, a shoulder's depth
#: The same where the blob is too wide for one person anyway, but both heads must stand about as high.
_HEAD_BESIDE: Final = 0.85
_DIP_BESIDE: Final = 0.05
#: Less than this share of a body to be taken off at the picture's border: the body itself goes on there.
_CUT_OFF: Final = 0.12


@dataclass(frozen=True, slots=True)
class BlobParams:
    """What may be a person.

    Attributes:
        least_fragment: area of what may be joined to others, as a share of the picture's.
        least_person: area of a person, the same.
        least_height: of a person, as a share of the picture's height.
        broad: a blob this many times as wide as a person may be more than one, if it shows two heads.
        wide: from here on they need not stand so clearly apart.
    """

    least_fragment: float = 0.00015
    least_person: float = 0.001
    least_height: float = 0.06
    broad: float = 1.25
    wide: float = 1.35


@dataclass(frozen=True, slots=True)
class _Seen:
    """A blob of the picture before, and how many more pictures of late showed several heads on it than one."""

    blob: Blob
    votes: int


class BlobReader:
    """Reads people out of masks, learning their size on the way."""

    def __init__(self, mounting: Mounting, params: BlobParams | None = None) -> None:
        self._mounting = mounting
        self._params = params or BlobParams()
        self._sizes = SizeModel(mounting)
        self._seen_before: list[_Seen] = []
        self._seen_now: list[_Seen] = []
        self._earlier: deque[list[Blob]] = deque(maxlen=_REMEMBERED)
        self._pictures = 0

    def read(self, mask: Mask, strength: Mask) -> list[Blob]:
        """Find people.

        Args:
            mask: 255 where something is, shape (h, w).
            strength: how clearly it is there, 0 outside the mask, the same shape.

        Returns:
            People, largest first.
        """
        pieces = self._pieces(mask)
        fringe = _FRAYED[self._mounting]
        joined = [
            trimmed(blob, strength, fringe, fringe * _AT_HEAD[self._mounting])
            for blob in self._join(pieces, mask.shape)
        ]
        people = [blob for blob in joined if self._plausible(blob, mask.shape)]
        self._sizes.learn(self._moving(people), mask.shape)
        self._seen_before, self._seen_now = self._seen_now, []
        found = [part for blob in people for part in self._divide(blob, mask, strength)]
        for blob in found:
            blob.score = self._sizes.likeness(blob, mask.shape)
        return sorted(found, key=lambda b: b.area, reverse=True)

    def _moving(self, people: list[Blob]) -> list[Blob]:
        """Those who have moved lately: what stands where it stood may be a thing, and would teach its size for ever."""
        if self._pictures % _APART == 0:
            self._earlier.append(people)
        self._pictures += 1
        known = [then for ago in islice(self._earlier, len(self._earlier) - 1) for then in ago]
        return [blob for blob in people if all(blob.overlap(then) < _UNMOVED for then in known)]

    def _pieces(self, mask: Mask) -> list[Blob]:
        """What is connected, small gaps closed, and large enough to be part of someone."""
        kernel = _CLOSE_ROUND if self._mounting == "overhead" else _CLOSE
        rows, columns = box_of(mask, margin=max(kernel.shape))
        closed = cv2.morphologyEx(mask[rows, columns], cv2.MORPH_CLOSE, kernel)
        corner = (columns.start, rows.start)
        contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=corner)
        least = self._params.least_fragment * mask.size
        pieces = []
        for contour in contours:
            x, y, w, h = cv2.boundingRect(contour)
            area = cv2.countNonZero(mask[y : y + h, x : x + w]) if w * h >= least else 0
            if area >= least:
                pieces.append(Blob(x, y, w, h, area))
        return pieces

    def _plausible(self, blob: Blob, shape: tuple[int, ...]) -> bool:
        height, width = shape
        if blob.h < self._params.least_height * height and blob.y > 1 and blob.y + blob.h < height - 1:
            return False
        if self._mounting == "overhead":
            return blob.area > 0.008 * height * width
        return blob.w < 3.0 * blob.h and blob.area > self._params.least_person * height * width

    def _join(self, pieces: list[Blob], shape: tuple[int, ...]) -> list[Blob]:
        """Join pieces that together still make one person."""
        rest = sorted(pieces, key=lambda b: b.area, reverse=True)
        done: list[Blob] = []
        while rest:
            blob = rest.pop(0)
            again = True
            while again:
                again = False
                for other in rest:
                    if self._sizes.one_person(blob, other, shape):
                        blob = blob.joined(other)
                        rest.remove(other)
                        again = True
                        break
            done.append(blob)
        return done

    def _divide(self, blob: Blob, mask: Mask, strength: Mask) -> list[Blob]:
        """The people in a blob: as many as its outline shows heads, if it is broad enough for them."""
        if self._mounting == "overhead":
            return self._divide_overhead(blob, mask, strength)
        cuts = self._agreed(blob, self._cuts(blob, mask))
        if not cuts:
            return [blob]
        columns = [round(cut * blob.w) for cut in cuts]
        parts = [
            Blob(blob.x + left, blob.y, right - left, blob.h, cv2.countNonZero(mask[blob.part][:, left:right]))
            for left, right in pairwise([0, *columns, blob.w])
            if right > left
        ]
        fringe = _FRAYED[self._mounting]
        # Above and below, the blob was trimmed itself.
        return [self._to_the_feet(trimmed(part, strength, fringe, 0.0, _FOOT)) for part in parts if part.area]

    def _divide_overhead(self, blob: Blob, mask: Mask, strength: Mask) -> list[Blob]:
        """The people in a blob seen from above: cut where it is narrowest, if it is too large and too long for one."""
        body = self._sizes.body()
        found = None if body is None else crowd(blob, mask, body)
        cuts = self._agreed(blob, [] if found is None else found.cuts)
        if found is None or not cuts:
            return [blob]
        fringe = _FRAYED[self._mounting]
        return [trimmed(part, strength, fringe, fringe) for part in parted(blob, mask, found)]

    def _cuts(self, blob: Blob, mask: Mask) -> list[float]:
        """Where heads part, in shares of the blob's width."""
        width, height, known = self._sizes.expected(blob, len(mask))
        if blob.w < self._params.broad * width:
            return []
        wide = known and blob.w >= self._params.wide * width
        outline, height = _outline(mask[blob.part]), min(height, blob.h)
        cuts = between_heads(outline, width, height, _HEAD, _DIP)
        if wide and not cuts:
            cuts = between_heads(outline, width, float(blob.h), _HEAD_BESIDE, _DIP_BESIDE)
        kept: list[float] = []
        for cut in cuts:  # a part much narrower than a person is an arm, a bag, a corner of a shadow
            if cut - (kept[-1] if kept else 0) >= _NARROWEST * width and blob.w - cut >= _NARROWEST * width:
                kept.append(cut)
        return [cut / blob.w for cut in kept]

    def _agreed(self, blob: Blob, cuts: list[float]) -> list[float]:
        """The cuts, if pictures before this one showed more than one, too: an arm goes, a head stays."""
        votes = max((seen.votes for seen in self._seen_before if blob.overlap(seen.blob) >= _SAME), default=0)
        votes = min(votes + 1, _MOST_VOTES) if cuts else max(votes - 1, 0)
        self._seen_now.append(_Seen(blob, votes))
        return cuts if votes >= _AGREED else []

    def _to_the_feet(self, part: Blob) -> Blob:
        """Part of a blob, ended where its own feet are: below a person farther off are the legs of one before them."""
        feet = self._sizes.feet_below(part.y)
        if feet is None or part.y + part.h < feet + _LEGS_OF_ANOTHER * (feet - part.y):
            return part
        return Blob(part.x, part.y, part.w, max(1, round(feet) - part.y), part.area)


def trimmed(blob: Blob, strength: Mask, share: float, top_share: float, foot_share: float | None = None) -> Blob:
    """The blob without its frayed rows and columns.

    Those are the outermost that together hold less than `share` of its strength on a side
    (`top_share` at the top, `foot_share` at the bottom where it is given).

    A reflection at the feet is large and faint, a foot small and clear: their areas do not tell them apart. A side at
    the picture's border stays there if little was to be taken off: whoever is cut off must be known to be.
    """
    foot_share = share if foot_share is None else foot_share
    body = strength[blob.part]
    height, width = strength.shape
    columns, rows = (cv2.reduce(body, axis, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel().tolist() for axis in (0, 1))
    left, right = _core(columns, share, share)
    top, bottom = _core(rows, top_share, foot_share)
    if blob.x == 0 and left < _CUT_OFF * blob.w:
        left = 0
    if blob.y == 0 and top < _CUT_OFF * blob.h:
        top = 0
    if blob.x + blob.w == width and blob.w - right < _CUT_OFF * blob.w:
        right = blob.w
    if blob.y + blob.h == height and blob.h - bottom < _CUT_OFF * blob.h:
        bottom = blob.h
    return Blob(blob.x + left, blob.y + top, right - left, bottom - top, blob.area)


def _core(profile: Sequence[float], before: float, after: float) -> tuple[int, int]:
    """Begin and end of what is left of a profile when these shares of it are taken off.

    A profile is short: plain Python is done with it in half the time that numpy's calls take.
    """
    total = list(accumulate(profile))
    first = bisect_right(total, before * total[-1])
    last = bisect_left(total, (1 - after) * total[-1]) + 1
    return min(first, len(profile) - 1), max(last, first + 1)


def _outline(mask: Mask) -> Floats:
    """How far each column reaches up from the lower edge (pixels)."""
    reach = mask.shape[0] - np.argmax(mask > 0, axis=0)
    return np.where(mask.any(axis=0), reach, 0).astype(np.float32)


def between_heads(
    outline: Floats, width: float, height: float, least: float = _HEAD, dip_share: float = _DIP
) -> list[int]:
    """Where to cut a blob so that each part has one head.

    Args:
        outline: height of the blob in each of its columns (pixels), shape (columns,).
        width, height: of one person.
        least: share of a person's height at which a head is, at least.
        dip_share: of a person's height by which it goes down between two heads, at least.

    Returns:
        Columns to cut at, ascending; none if only one head shows. Two heads
        are half a person's width apart: nearer are arms and hands.
    """
    # What is narrower than half a head is none; the gap between two heads may be, so nothing is smoothed over.
    narrow = np.ones((1, max(1, round(_HEAD_WIDE * height / 2))), np.uint8)
    smooth = cv2.morphologyEx(outline.reshape(1, -1), cv2.MORPH_OPEN, narrow).ravel()
    dip, apart = dip_share * height, width / 2
    cuts: list[int] = []
    peak = valley = float(smooth[0])
    peak_at = valley_at = 0
    climbing = True
    for column, value in enumerate(smooth.tolist()):
        if climbing:
            if value > peak:
                peak, peak_at = value, column
            elif value < peak - dip and peak >= least * height:
                climbing, valley, valley_at = False, value, column
        elif value < valley:
            valley, valley_at = value, column
        elif value > valley + dip and value >= least * height and column - peak_at >= apart:
            climbing, peak, peak_at = True, value, column
            cuts.append(valley_at)
    return [cut for cut in cuts if 0 < cut < len(outline)]
