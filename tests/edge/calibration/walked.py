"""People who walk as they are told past a camera that is to be calibrated."""

from itertools import pairwise

import numpy as np

from edge.calibration.walks import Walk, WalkCollector
from edge.calibration.watching import Watched
from edge.models import Frame, Mounting, Point, Track

ASPECT = 4 / 3
EMPTY = np.full((90, 120, 3), 128, np.uint8)


def walked(*ways: list[Point], height: float = 0.3, mounting: Mounting = "oblique", jitter: float = 0.0) -> list[Walk]:
    """Walks whose feet (oblique) or middle go through these points in fractions of the frame, one after another."""
    rng = np.random.default_rng(1)
    collector = WalkCollector(aspect=ASPECT, mounting=mounting)
    index = 15  # nobody is there when the recording begins
    collector.add(Frame(0, 0.0, EMPTY), [])
    for number, way in enumerate(ways, 1):
        for begin, end in pairwise(way):
            for share in np.linspace(0, 1, 20, endpoint=False):
                x, y = np.asarray(begin) + share * (np.asarray(end) - begin) + rng.normal(0, 1, 2) * jitter
                collector.add(Frame(index, index / 10, EMPTY), [standing(number, float(x), float(y), height, mounting)])
                index += 1
        index += 20
    collector.add(Frame(index + 20, (index + 20) / 10, EMPTY), [])
    return collector.walks()


def standing(number: int, x: float, y: float, height: float, mounting: Mounting) -> Track:
    if mounting == "overhead":
        half = height / 2
        return Track(number, (x - half / ASPECT, y - half, x + half / ASPECT, y + half), 1.0, True, True)
    half = 0.2 * height / ASPECT
    return Track(number, (x - half, y - height, x + half, y), 1.0, True, True)


def seen(walks: list[Walk], mounting: Mounting = "oblique") -> Watched:
    return Watched(walks, mounting, guessed=False, seconds=60.0, backdrop=EMPTY, aspect=ASPECT)


def through_a_door(people: int) -> list[list[Point]]:
    """From a door in the picture's middle, spread over its width, towards the camera, and back."""
    ways: list[list[Point]] = []
    for number in range(people):
        x = 0.42 + 0.16 * number / max(1, people - 1)
        way = [(x, 0.42), (x, 0.62), (0.3 + 0.4 * (number % 3) / 2, 0.97)]
        ways.append(way if number % 2 else way[::-1])
    return ways
