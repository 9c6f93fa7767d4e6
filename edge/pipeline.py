"""Frame in, crossings out: the detector, the tracker and the counter in their order.

The order matters in one place: the detector is told where tracked people are expected *before* it looks, because a
detector that learns the background under someone who stands still loses them and later counts their ghost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.counter import Counter, CounterParams
from edge.counting.zones import Ignored
from edge.models import CART, PERSON, Crossing, Detections, Detector, Frame, Line, Mounting, Tagging, Track, Zone
from edge.settings import CameraSettings
from edge.tracker import Tracker, TrackerParams


@dataclass(frozen=True, slots=True)
class Step:
    """What one frame gave.

    Attributes:
        found: what the detector found, wherever it is.
        detections: what of it is looked at: nothing in zones that are left out.
        tracks: everyone followed, as of this frame.
        crossings: crossings that became certain with this frame, dated when they happened.
    """

    found: Detections
    detections: Detections
    tracks: list[Track]
    crossings: list[Crossing]


class Follower:
    """Detections in, crossings out: what one camera's counting does behind its detector.

    Args:
        lines: the lines, in fractions of the frame.
        mounting: overhead or oblique.
        aspect: the frame's width over its height.
        zones: counted, staff's, or left out.
        tagging: rules and heights that tag people.
        tracker_params, counter_params: instead of the defaults.

    Raises:
        LineError: a line, zone or rule that cannot be used.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        *,
        mounting: Mounting,
        aspect: float,
        zones: Sequence[Zone] = (),
        tagging: Tagging | None = None,
        tracker_params: TrackerParams | None = None,
        counter_params: CounterParams | None = None,
    ) -> None:
        self._ignored = Ignored(zones, mounting)
        self.tracker = Tracker(aspect=aspect, mounting=mounting, params=tracker_params)
        self._counter = Counter(
            lines, mounting=mounting, aspect=aspect, params=counter_params, zones=zones, tagging=tagging
        )

    def follow(self, detections: Detections, index: int, time_s: float) -> Step:
        """Take the detections of one frame; frames come in order of time.

        Args:
            detections: in fractions of the frame; only people are followed, carts say something about them.
            index: the frame's number.
            time_s: its time in seconds on the stream's clock.
        """
        found, detections = detections, self._ignored.without(detections)
        carts: list[tuple[float, float, float, float]] = []
        people = detections.only(PERSON)
        if people is not detections:
            carts = [(x1, y1, x2, y2) for x1, y1, x2, y2 in detections.only(CART).boxes.tolist()]
        tracks = self.tracker.update(people, time_s)
        return Step(found, detections, tracks, self._counter.update(tracks, index, time_s, carts))

    @property
    def undecided_since(self) -> float | None:
        """See `Counter.undecided_since`."""
        return self._counter.undecided_since

    def finish(self) -> list[Crossing]:
        """The stream is over: the crossings that remained to be decided."""
        return self._counter.finish()


class Pipeline:
    """One camera's counting.

    Args:
        detector: finds people in a frame.
        follower: follows and counts them.
    """

    def __init__(self, detector: Detector, follower: Follower) -> None:
        self._detector = detector
        self._follower = follower

    def step(self, frame: Frame) -> Step:
        """Take one frame through; frames come in order of time.

        Returns:
            Detections, tracks and the crossings that became certain.
        """
        held = self._follower.tracker.predicted(frame.time_s)
        return self._follower.follow(self._detector.detect(frame, held), frame.index, frame.time_s)

    @property
    def undecided_since(self) -> float | None:
        """See `Counter.undecided_since`."""
        return self._follower.undecided_since

    def finish(self) -> list[Crossing]:
        """The stream is over: the crossings that remained to be decided."""
        return self._follower.finish()


def make_pipeline(detector: Detector, lines: Sequence[Line], *, mounting: Mounting, aspect: float) -> Pipeline:
    """A pipeline of a mounting's defaults, for lines and nothing else (see `Follower`).

    Raises:
        LineError: a line that cannot be used.
    """
    return Pipeline(detector, Follower(lines, mounting=mounting, aspect=aspect))


def camera_pipeline(detector: Detector, camera: CameraSettings, aspect: float) -> Pipeline:
    """The pipeline that a camera's settings ask for.

    Args:
        detector: finds people in a frame.
        camera: its lines, zones, rules and limits.
        aspect: its frames' width over their height.

    Raises:
        LineError: a line, zone or rule that cannot be used.
    """
    follower = Follower(
        [line.line() for line in camera.line],
        mounting=camera.mounting,
        aspect=aspect,
        zones=[zone.zone() for zone in camera.zone],
        tagging=camera.tagging,
        counter_params=counter_params(camera),
    )
    return Pipeline(detector, follower)


def counter_params(camera: CameraSettings) -> CounterParams:
    """The counter's constants with what a camera's settings say of groups."""
    counting = camera.counting
    return CounterParams(
        group_s=counting.group_s, group_span_s=counting.group_span_s, group_distance=counting.group_distance
    )
