"""Frame in, crossings out: the detector, the tracker and the counter in their order.

The order matters in one place: the detector is told where tracked people are expected *before* it looks, because a
detector that learns the background under someone who stands still loses them and later counts their ghost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.counter import Counter, CounterParams
from edge.models import Crossing, Detections, Detector, Frame, Line, Mounting, Track
from edge.tracker import Tracker, TrackerParams


@dataclass(frozen=True, slots=True)
class Step:
    """What one frame gave.

    Attributes:
        detections: what the detector found.
        tracks: everyone followed, as of this frame.
        crossings: crossings that became certain with this frame, dated when they happened.
    """

    detections: Detections
    tracks: list[Track]
    crossings: list[Crossing]


class Pipeline:
    """One camera's counting.

    Args:
        detector: finds people in a frame.
        tracker: follows them.
        counter: counts them over lines.
    """

    def __init__(self, detector: Detector, tracker: Tracker, counter: Counter) -> None:
        self._detector = detector
        self._tracker = tracker
        self._counter = counter

    def step(self, frame: Frame) -> Step:
        """Take one frame through; frames come in order of time.

        Returns:
            Detections, tracks and the crossings that became certain.
        """
        held = self._tracker.predicted(frame.time_s)
        detections = self._detector.detect(frame, held)
        tracks = self._tracker.update(detections, frame.time_s)
        return Step(detections, tracks, self._counter.update(tracks, frame.index, frame.time_s))

    def finish(self) -> list[Crossing]:
        """The stream is over: the crossings that remained to be decided."""
        return self._counter.finish()


def make_pipeline(
    detector: Detector,
    lines: Sequence[Line],
    *,
    mounting: Mounting,
    aspect: float,
    tracker_params: TrackerParams | None = None,
    counter_params: CounterParams | None = None,
) -> Pipeline:
    """Put a pipeline together with a mounting's defaults.

    Args:
        detector: finds people in a frame.
        lines: the lines, in fractions of the frame.
        mounting: overhead or oblique.
        aspect: the frame's width over its height.
        tracker_params, counter_params: instead of the defaults.

    Raises:
        LineError: a line that cannot be used.
    """
    tracker = Tracker(aspect=aspect, mounting=mounting, params=tracker_params)
    return Pipeline(detector, tracker, Counter(lines, mounting=mounting, aspect=aspect, params=counter_params))
