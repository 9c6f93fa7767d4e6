"""What a rendered scene is asked to be, and how that is written in a camera's `source`.

A scene stands where a camera's address stands, so it has to fit into one string of a configuration file; unknown
options are refused, because a misspelt `rate` that is silently ignored is a count nobody can explain.
"""

from dataclasses import dataclass
from typing import Final, Literal, get_args
from urllib.parse import parse_qsl

from edge.models import Line, Mounting

Light = Literal["steady", "changing"]

PREFIX: Final = "scene:"


class SceneError(ValueError):
    """A scene that can't be rendered as asked; the text says which option is wrong and what it takes."""


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """A scene, fully determined by these values: the same spec renders the same pixels.

    Attributes:
        mounting: seen straight from above, or obliquely from a camera over the tills that looks at the door.
        size: width and height in pixels.
        fps: frames a second.
        seed: of everything that is left to chance.
        rate: people a minute who cross the door line, in and out together, on average. Obliquely a door holds about
            seven: beyond that, parties that would hide others from the camera stay away.
        seconds: how long it lasts; None is endless.
        light: `changing` drifts slowly and steps now and then, as when a lamp is switched or a cloud passes.
    """

    mounting: Mounting = "overhead"
    size: tuple[int, int] = (384, 288)
    fps: float = 12.0
    seed: int = 1
    rate: float = 12.0
    seconds: float | None = None
    light: Light = "changing"

    def __post_init__(self) -> None:
        width, height = self.size
        if not (96 <= width <= 4096 and 72 <= height <= 4096):
            raise SceneError(f"size {width}x{height}: a scene is between 96x72 and 4096x4096 pixels")
        if not 1 <= self.fps <= 60:
            raise SceneError(f"fps {self.fps:g}: a scene has between 1 and 60 frames a second")
        if not 0 <= self.rate <= 60:
            raise SceneError(f"rate {self.rate:g}: a scene takes between 0 and 60 people a minute")
        if self.seed < 0:
            raise SceneError(f"seed {self.seed}: a seed is 0 or more")
        if self.seconds is not None and self.seconds <= 0:
            raise SceneError(f"seconds {self.seconds:g}: a scene lasts longer than that")

    @property
    def frame_count(self) -> int | None:
        """How many frames it has; None when it is endless."""
        return None if self.seconds is None else max(1, round(self.seconds * self.fps))


def parse(source: str) -> SceneSpec:
    """Read `scene:overhead?seed=1&rate=12&fps=12&size=384x288&seconds=60&light=steady`.

    Raises:
        SceneError: an unknown scene or option, or a value out of range.
    """
    name, _, query = source.strip().removeprefix(PREFIX).partition("?")
    if name not in get_args(Mounting):
        raise SceneError(f"no scene named {name!r}; there are: {', '.join(get_args(Mounting))}")
    mounting: Mounting = "oblique" if name == "oblique" else "overhead"
    given: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in _OPTIONS:
            raise SceneError(f"scene {name!r} has no option {key!r}; it takes: {', '.join(_OPTIONS)}")
        given[key] = value
    default = SceneSpec()
    seconds = given.get("seconds")
    return SceneSpec(
        mounting=mounting,
        size=_size(given["size"]) if "size" in given else default.size,
        fps=_number("fps", given.get("fps", str(default.fps))),
        seed=int(_number("seed", given.get("seed", str(default.seed)))),
        rate=_number("rate", given.get("rate", str(default.rate))),
        seconds=None if seconds is None else _number("seconds", seconds),
        light=_light(given.get("light", default.light)),
    )


_OPTIONS: Final = ("seed", "rate", "fps", "size", "seconds", "light")


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise SceneError(f"{name} {text!r} is not a number") from error


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise SceneError(f"size {text!r} is not of the form 384x288")
    return int(width), int(height)


def _light(text: str) -> Light:
    if text not in get_args(Light):
        raise SceneError(f"light {text!r}: it is one of {', '.join(get_args(Light))}")
    return "steady" if text == "steady" else "changing"


def door_line(mounting: Mounting, line_id: str = "door") -> Line:
    """The line people cross in a scene, with the inside where the camera stands (below)."""
    left, right = (0.06, 0.94) if mounting == "overhead" else (0.12, 0.88)
    return Line(line_id, (left, 0.5), (right, 0.5), (0.5, 0.9))
