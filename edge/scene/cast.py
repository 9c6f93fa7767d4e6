"""Who walks through a scene, where and when: everything about people except how they are drawn.

Kept apart from the drawing so that the truth is known before a pixel is: a walker's path is worked out when the
walker appears, and both the picture and the true crossings are read from it. Whoever comes in leaves again some
minutes later in the same clothes, so a scene's occupancy does not run away. People do not walk through each other:
a party whose way is taken waits a moment, as people do at a door.

The floor is measured in metres: x to the right as the camera sees it, y from the door line (0) inward.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.models import Mounting
from edge.scene.looks import Look, random_look
from edge.scene.spec import SceneSpec

Track = NDArray[np.float64]
Waypoint = tuple[float, float]

#: How far apart people keep, in metres (sideways, in depth). Seen obliquely, someone behind is hidden: they wait.
_APART: Final[dict[Mounting, tuple[float, float]]] = {"overhead": (0.74, 0.84), "oblique": (0.95, 2.6)}
#: How far from the line people appear and vanish (outside, inside), and how far to the sides.
_REACH: Final[dict[Mounting, tuple[float, float, float]]] = {
    "overhead": (-2.4, 2.4, 3.0),
    "oblique": (-4.5, 6.2, 4.6),
}
_STRIDE_M: Final = 0.72
_MEAN_STAY_S: Final = 150.0
#: A party whose way is taken looks again so often, so many seconds apart.
_PATIENCE: Final = 40
_WAIT_S: Final = 0.6
#: Seen obliquely the third of three, who walks behind, would be hidden.
_LARGEST: Final[dict[Mounting, int]] = {"overhead": 3, "oblique": 2}
#: Seen obliquely: how far the camera is from the line, from where to where it sees people, and how far apart they
#: must be across the line of sight, at the nearer one's distance, for the one not to hide the other (metres).
_CAMERA_M: Final = 6.4
_SEEN_M: Final = (0.9, 10.7)
_BESIDE_M: Final = 0.8


@dataclass(frozen=True, slots=True)
class Walker:
    """One person's way through the scene, from first to last frame.

    Attributes:
        person: number of the person, from 1; someone who leaves again keeps it.
        party: number of the group they belong to.
        first: index of the frame in which they appear.
        place: floor position per frame in metres, shape (n, 2).
        heading: where the body faces, radians (0 = towards +x, pi/2 = inward), shape (n,).
        step: phase of the walk in radians, one step is pi, shape (n,).
    """

    person: int
    party: int
    look: Look
    first: int
    place: Track
    heading: Track
    step: Track

    @property
    def end(self) -> int:
        """Index of the first frame without them."""
        return self.first + len(self.place)


@dataclass(frozen=True, slots=True, order=True)
class _Turn:
    """Something that will happen: a party of people sets out at a time."""

    at_s: float
    number: int
    kind: str
    people: tuple[tuple[int, Look], ...]
    party: int


class Cast:
    """Makes walkers in order of the turns that bring them; the same spec gives the same walkers."""

    def __init__(self, spec: SceneSpec) -> None:
        self._spec = spec
        self._rng = np.random.default_rng([spec.seed, 7])
        self._turns: list[_Turn] = []
        self._numbers = 0
        self._persons = 0
        self._parties = 0
        self._recent: list[Walker] = []
        # Half of those who cross come in; each of them goes out again.
        self._comings_per_s = spec.rate / 60 / 2 / _mean_party(spec.mounting)
        if self._comings_per_s > 0:
            self._open_the_doors()

    def _open_the_doors(self) -> None:
        """At the start people are inside already, on their way in, and passing by."""
        inside = int(self._rng.poisson(self._comings_per_s * _MEAN_STAY_S))
        for _ in range(inside):
            self._add(float(self._rng.exponential(_MEAN_STAY_S)), "leave", self._new_party())
        self._add(float(self._rng.exponential(1 / self._comings_per_s)), "come", self._new_party())
        self._add(float(self._rng.exponential(20)), "pass", self._new_party(1))

    def until(self, time_s: float) -> Iterator[Walker]:
        """Walkers of every turn up to `time_s`, each once over the life of the cast."""
        while self._turns and self._turns[0].at_s <= time_s:
            turn = heapq.heappop(self._turns)
            self._follow_up(turn)
            walkers = self._set_out(turn)
            self._recent = [w for w in self._recent if w.end > turn.at_s * self._spec.fps] + walkers
            yield from walkers

    def _follow_up(self, turn: _Turn) -> None:
        if turn.kind == "come":
            pause = float(self._rng.exponential(1 / self._comings_per_s))
            self._add(turn.at_s + pause, "come", self._new_party())
        elif turn.kind == "pass":
            self._add(turn.at_s + 4 + float(self._rng.exponential(22)), "pass", self._new_party(1))

    def _add(self, at_s: float, kind: str, people: tuple[tuple[int, Look], ...]) -> None:
        self._numbers += 1
        self._parties += kind != "leave"
        heapq.heappush(self._turns, _Turn(at_s, self._numbers, kind, people, self._parties))

    def _new_party(self, size: int | None = None) -> tuple[tuple[int, Look], ...]:
        size = size or min(int(self._rng.choice((1, 2, 3), p=_PARTY_SHARES)), _LARGEST[self._spec.mounting])
        people = []
        for _ in range(size):
            self._persons += 1
            people.append((self._persons, random_look(self._rng)))
        return tuple(people)

    def _set_out(self, turn: _Turn) -> list[Walker]:
        """The party's walkers, delayed until their way is free; an empty list if it is not for long.

        Who could not leave is still inside and tries again; who could not come in does once, then goes elsewhere.
        """
        kind = turn.kind
        if kind in {"come", "again"}:
            # Some only look in, some turn on their heel just inside; alone, for groups are seldom so undecided.
            chance = self._rng.random()
            if len(turn.people) == 1 and chance < 0.07:
                kind = "hesitate"
            elif len(turn.people) == 1 and chance < 0.14:
                kind = "turn"
            else:
                kind = "come"
        ways = [self._way(kind, place, len(turn.people)) for place in range(len(turn.people))]
        speed = float(self._rng.uniform(1.0, 1.35)) * (0.9 if len(turn.people) > 1 else 1.0)
        tracks = [sample(way, speed, pauses, self._spec.fps) for way, pauses in ways]
        for patience in range(_PATIENCE):
            first = round((turn.at_s + _WAIT_S * patience) * self._spec.fps)
            walkers = [
                _walker(person, turn.party, look, first, track, self._rng)
                for (person, look), track in zip(turn.people, tracks, strict=True)
            ]
            if all(_free(walker, self._recent, self._spec.mounting) for walker in walkers):
                self._come_back(turn, kind, walkers)
                return walkers
        if turn.kind in {"leave", "come"}:
            kind = "leave" if turn.kind == "leave" else "again"
            self._later(turn.at_s + _WAIT_S * _PATIENCE, kind, turn.people, turn.party)
        return []

    def _come_back(self, turn: _Turn, kind: str, walkers: Sequence[Walker]) -> None:
        if kind != "come":
            return
        last = max(walker.end for walker in walkers) / self._spec.fps
        stay = 12 + float(self._rng.exponential(_MEAN_STAY_S))
        people = tuple((person, look.with_shopping(self._rng)) for person, look in turn.people)
        self._later(last + stay, "leave", people, turn.party)

    def _later(self, at_s: float, kind: str, people: tuple[tuple[int, Look], ...], party: int) -> None:
        """People already known set out once more."""
        self._numbers += 1
        heapq.heappush(self._turns, _Turn(at_s, self._numbers, kind, people, party))

    def _way(self, kind: str, place: int, size: int) -> tuple[list[Waypoint], list[tuple[int, float]]]:
        """Waypoints of one person of a party, and pauses (waypoint, seconds)."""
        rng = self._rng
        outside, inside, side = _REACH[self._spec.mounting]
        across, along = _APART[self._spec.mounting]
        # Side by side two by two; a third walks behind.
        beside = (place % 2 - 0.5) * (across + 0.1) if size > 1 else 0.0
        if size == 3 and place == 2:
            beside = 0.0
        behind = (place // 2) * (along + 0.25)
        lane = -1.0 if kind in {"come", "turn", "hesitate"} else 1.0
        centre = lane * (0.62 + (0.12 if size > 1 else 0.0)) + float(rng.uniform(-0.1, 0.1)) * (size == 1)
        if kind == "pass":
            return self._pass_by()
        gate = centre + beside
        spread = beside * 1.15
        stray = float(rng.uniform(-0.6, 0.6)) * (size == 1)
        far = float(np.clip(centre * 1.2 + stray, -1.5, 1.5))
        deep = centre * 1.3 + spread
        way: list[Waypoint] = [(far + spread, outside - behind), (gate, -0.9 - behind), (gate, 0.9), (deep, inside)]
        pauses: list[tuple[int, float]] = []
        if kind == "hesitate":
            way = [way[0], (gate, -1.05), (gate + 0.5, -1.15), (far + 0.9, outside)]
            pauses = [(1, float(rng.uniform(1.0, 2.5)))]
        elif kind == "turn":
            way = [way[0], (gate, -0.9), (gate, 0.95), (gate - 0.15, 1.15), (gate - 0.4, 0.6), (gate - 0.4, outside)]
            pauses = [(3, float(rng.uniform(0.8, 2.0)))]
        elif kind == "come" and size == 1 and rng.random() < 0.22:
            # Stops to look around, out of the way of those behind.
            aside = -1.45 if self._spec.mounting == "overhead" else -2.0
            way = [way[0], way[1], (gate, 0.8), (aside, 1.15), (aside - 0.2, inside)]
            pauses = [(3, float(rng.uniform(3, 9)))]
        elif kind == "leave":
            way = [(deep, inside + behind), (gate, 1.0 + behind), (gate, -0.9), (far + spread, outside)]
        elif self._spec.mounting == "oblique" and rng.random() < 0.3 and size == 1:
            way[-1] = (-side, float(rng.uniform(2.2, 3.2)))
        return way, pauses

    def _pass_by(self) -> tuple[list[Waypoint], list[tuple[int, float]]]:
        outside, _, side = _REACH[self._spec.mounting]
        y = float(self._rng.uniform(outside * 0.62, outside * 0.52))
        ends = [(-side, y), (side, y + float(self._rng.uniform(-0.1, 0.1)))]
        return (ends if self._rng.random() < 0.5 else ends[::-1]), []


_PARTY_SHARES: Final = (0.74, 0.21, 0.05)


def _mean_party(mounting: Mounting) -> float:
    largest = _LARGEST[mounting]
    return sum(share * min(size, largest) for share, size in zip(_PARTY_SHARES, (1, 2, 3), strict=True))


def sample(way: Sequence[Waypoint], speed: float, pauses: Sequence[tuple[int, float]], fps: float) -> Track:
    """Positions frame by frame along waypoints at `speed` (m/s), standing still where `pauses` say.

    Corners and stops are rounded off by a moving mean of half a second, for nobody turns on the spot.
    """
    waits = dict(pauses)
    pieces: list[Track] = [np.array([way[0]])]
    for index in range(1, len(way)):
        start, end = np.array(way[index - 1]), np.array(way[index])
        steps = max(1, round(float(np.hypot(*(end - start))) / speed * fps))
        pieces.append(start + (end - start) * (np.arange(1, steps + 1)[:, None] / steps))
        if index in waits:
            pieces.append(np.repeat(end[None, :], round(waits[index] * fps), axis=0))
    raw = np.concatenate(pieces)
    half = max(1, round(fps * 0.25))
    padded = np.pad(raw, ((half, half), (0, 0)), mode="edge")
    kernel = np.ones(2 * half + 1) / (2 * half + 1)
    return np.stack([np.convolve(padded[:, axis], kernel, mode="valid") for axis in (0, 1)], axis=1)


def _walker(person: int, party: int, look: Look, first: int, place: Track, rng: np.random.Generator) -> Walker:
    moves = np.gradient(place, axis=0) if len(place) > 1 else np.zeros_like(place)
    length = np.hypot(moves[:, 0], moves[:, 1])
    heading = np.arctan2(moves[:, 1], moves[:, 0])
    # Whoever stands keeps facing where they went, and looks about a little.
    still = length < 0.004
    last = np.maximum.accumulate(np.where(still, 0, np.arange(len(place))))
    heading = heading[last] + np.where(still, 0.5 * np.sin(np.arange(len(place)) * 0.11), 0.0)
    step = np.cumsum(length) / _STRIDE_M * np.pi + float(rng.uniform(0, 2 * np.pi))
    return Walker(person, party, look, first, place, np.unwrap(heading), step)


def _free(walker: Walker, others: Sequence[Walker], mounting: Mounting) -> bool:
    """Whether the walker keeps clear of all `others` at all times."""
    across, along = _APART[mounting]
    for other in others:
        start, end = max(walker.first, other.first), min(walker.end, other.end)
        if start >= end:
            continue
        gap = (
            walker.place[start - walker.first : end - walker.first]
            - other.place[start - other.first : end - other.first]
        )
        if bool(np.any((gap[:, 0] / across) ** 2 + (gap[:, 1] / along) ** 2 < 1)):
            return False
        if mounting == "oblique" and _hide(
            walker.place[start - walker.first : end - walker.first],
            other.place[start - other.first : end - other.first],
        ):
            return False
    return True


def _hide(one: Track, other: Track) -> bool:
    """Whether at any time one of the two stands before the other as the oblique camera sees them."""
    near, far = _SEEN_M
    here, there = _CAMERA_M - one[:, 1], _CAMERA_M - other[:, 1]
    seen = (here > near) & (there > near) & (here < far) & (there < far)
    if not seen.any():
        return False
    here, there = here[seen], there[seen]
    between = np.abs(one[seen, 0] / here - other[seen, 0] / there) * np.minimum(here, there)
    return bool(np.any(between < _BESIDE_M))
