"""What `doorline count` is to count: lines and zones from its options, or all that a box's own `edge.toml` says.

With `--config` a recording is counted exactly as the box counts its camera, so that a rule can be tried on last
Saturday before it is trusted; mixing that with lines from the command line would be neither one nor the other.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.main import fail
from cli.options import AnchorOption, SettleOption, check_model, parse_lines

if TYPE_CHECKING:
    from edge.cameras.view import View
    from edge.counting.params import CounterParams
    from edge.models import Anchor, Detector, Line, Mounting, Tagging, Zone, ZoneKind
    from edge.pipeline import Follower
    from edge.settings import CameraSettings

_KINDS: Final["dict[str, ZoneKind]"] = {"count": "count", "ignore": "ignore", "staff": "staff"}

ZoneOption = Annotated[
    list[str] | None,
    typer.Option(
        "--zone",
        metavar="NAME:KIND:X,Y,X,Y,X,Y...",
        help="A zone by its corners. KIND is count (in and out under its name), ignore (what is found there is left "
        "out) or staff (who stays 30 s is tagged). May be given again.",
        show_default=False,
    ),
]

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="EDGE.TOML",
        help="Count as a box would: lines, zones, tags, detector and view of its camera, instead of --line and the "
        "rest.",
        show_default=False,
    ),
]

CameraOption = Annotated[
    str | None,
    typer.Option("--camera", metavar="ID", help="With --config: which of its cameras.", show_default=False),
]


@dataclass(frozen=True, slots=True)
class Layout:
    """Everything drawn on one picture, and how it is looked at."""

    lines: "list[Line]"
    zones: "list[Zone]"
    mounting: "Mounting"
    detector: str
    model: Path | None
    tagging: "Tagging | None" = None
    params: "CounterParams | None" = None
    camera: "CameraSettings | None" = None

    @property
    def view(self) -> "View":
        """How often, how large and which way up the recording is looked at."""
        from edge.cameras.view import View

        return self.camera.view if self.camera else View()

    def finder(self) -> "Detector":
        """The detector, with all that a box's configuration says of it; raises DetectorError."""
        from edge.detectors import detector_for, make_detector

        if self.camera is not None:
            return detector_for(self.camera)
        return make_detector(self.detector, mounting=self.mounting, model=self.model)

    @property
    def counted(self) -> list[str]:
        """Names under which crossings are counted, in order."""
        return [line.line_id for line in self.lines] + [zone.zone_id for zone in self.zones if zone.kind == "count"]

    def check(self, aspect: float) -> None:
        """Refuse what could not count on a picture of this aspect, before any work is done.

        Raises:
            LineError: what is wrong and what to do.
        """
        from edge.counting.layout import check_drawing

        rules, size = (self.tagging.rules, self.tagging.size) if self.tagging else ((), None)
        check_drawing(self.lines, self.zones, rules, size, aspect)

    def follower(self, aspect: float) -> "Follower":
        """What follows and counts detections on a picture of this aspect."""
        from edge.pipeline import Follower

        return Follower(
            self.lines,
            mounting=self.mounting,
            aspect=aspect,
            zones=self.zones,
            tagging=self.tagging,
            counter_params=self.params,
        )


def from_options(
    lines: tuple[list[str], list[str], list[str]],
    zones: list[str],
    anchor: AnchorOption | None,
    settle: SettleOption,
    mounting: "Mounting",
    detector: str,
    model: Path | None,
) -> Layout:
    """What the options ask for; a wrong one ends the command.

    Args:
        lines: values of --line, --inside and --name.
        zones: values of --zone.
        anchor, settle: of every line and zone.
        mounting, detector, model: how it is looked at.
    """
    check_model(detector, model, mounting)
    drawn = [_zone(text, anchor.value if anchor else None, settle) for text in zones]
    ends, insides, names = lines
    if not ends and any(zone.kind == "count" for zone in drawn) and not insides and not names:
        return Layout([], drawn, mounting, detector, model)
    return Layout(parse_lines(ends, insides, names, anchor, settle), drawn, mounting, detector, model)


def from_config(path: Path, camera: str | None) -> Layout:
    """What a box's configuration says of one camera; a wrong one ends the command."""
    from edge.config import load
    from edge.pipeline import counter_params
    from edge.settings import ConfigError

    try:
        cameras = load(path).camera
    except ConfigError as error:
        fail(str(error))
    ids = ", ".join(each.id for each in cameras)
    if camera is None and len(cameras) > 1:
        fail(f"{path} has several cameras; choose one with --camera: {ids}")
    found = next((each for each in cameras if camera in (None, each.id)), None)
    if found is None:
        fail(f"{path} has no camera '{camera}'; it has {ids}")
    return Layout(
        [line.line() for line in found.line],
        [zone.zone() for zone in found.zone],
        found.mounting,
        found.detector,
        Path(found.model) if found.model else None,
        found.tagging,
        counter_params(found),
        found,
    )


def config_alone(context: typer.Context) -> None:
    """End the command where something was asked for beside --config: it would be passed over without a word."""
    names = ("line", "inside", "name", "zone", "mounting", "anchor", "settle", "detector", "model")
    sources = {name: context.get_parameter_source(name) for name in names}
    given = [f"--{name}" for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]
    if given:
        fail(f"--config says what is counted and how; leave out {', '.join(given)}")


def _zone(text: str, anchor: "Anchor | None", settle: SettleOption) -> "Zone":
    from edge.models import Zone

    name, _, rest = text.partition(":")
    word, _, corners = rest.partition(":")
    kind = _KINDS.get(word)
    try:
        values = [float(part) for part in corners.split(",")] if corners else []
    except ValueError:
        values = None
    wrong = None
    if not name:
        wrong = "has no name"
    elif kind is None:
        wrong = f"has no kind {word!r}" if word else "has no kind"
    elif values is None:
        wrong = "has corners that are no numbers"
    elif len(values) % 2:
        wrong = "has a corner without its y"
    elif len(values) < 6:
        wrong = f"has {len(values) // 2} corners, too few to enclose anything" if values else "has no corners"
    if wrong or kind is None or values is None:
        fail(
            f"--zone '{text}' {wrong}; write NAME:KIND:x,y,x,y,x,y with three corners or more, in fractions of the "
            f"frame, and for KIND one of {', '.join(_KINDS)}. For example: --zone mirror:ignore:0.7,0.1,0.9,0.1,0.9,0.5"
        )
    return Zone(name, tuple(zip(values[::2], values[1::2], strict=True)), kind, anchor, settle.value)
