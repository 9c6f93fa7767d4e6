"""What `doorline audit` says in the end: how much was found, how sure that is, and each mistake with its moment."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from edge.auditing.intervals import Interval
    from edge.auditing.matching import Audit, Score, TotalScore
    from edge.models import Direction

#: What the intervals rest on, said with every result.
INTERVALS = (
    "95% intervals: Wilson's, each crossing by itself; people missed together as a group make them wider in truth."
)
TOTALS = (
    "Totals only: a miss and an invention cancel, so this is the best the count can have been, not its accuracy. "
    "95% intervals: the difference as a Poisson number of errors."
)


@dataclass(frozen=True, slots=True)
class Audited:
    """A finished audit.

    Attributes:
        frames, fps: of the recording.
        crossings: compared one by one; None where only totals were known.
        totals: compared by line and direction, where only they were known.
    """

    video: str
    frames: int
    fps: float
    crossings: "Audit | None"
    totals: "dict[tuple[str, Direction], TotalScore]"

    @property
    def pooled(self) -> float | None:
        """Accuracy of all lines and directions together; None where nobody crossed."""
        if self.crossings is not None:
            return self.crossings.pooled.accuracy
        true = sum(each.true for each in self.totals.values())
        off = sum(abs(each.counted - each.true) for each in self.totals.values())
        return max(0.0, 1 - off / true) if true else None


def show(audited: Audited) -> None:
    """Print scores and mistakes."""
    console = Console()
    title = f"{audited.frames} frames, {audited.frames / audited.fps:.1f} s"
    if audited.crossings is None:
        _show_totals(console, audited, title)
        return
    table = Table(title=title, title_justify="left")
    table.add_column("line")
    table.add_column("way")
    for heading in ("true", "right", "missed", "wrong way", "invented"):
        table.add_column(heading, justify="right")
    table.add_column("found (95%)", justify="right")
    table.add_column("accuracy (95%)", justify="right")
    for (line, direction), score in audited.crossings.scores.items():
        table.add_row(escape(line), direction, *_cells(score))
    if len(audited.crossings.scores) > 1:
        table.add_section()
        table.add_row("all", "", *_cells(audited.crossings.pooled))
    console.print(table)
    console.print("found: right of true. accuracy: right of true and invented together.")
    console.print(INTERVALS)
    if not audited.crossings.mistakes:
        console.print("No mistakes.")
        return
    mistakes = Table(title="mistakes", title_justify="left")
    mistakes.add_column("frame", justify="right")
    mistakes.add_column("time", justify="right")
    for heading in ("line", "way", "what"):
        mistakes.add_column(heading)
    for each in audited.crossings.mistakes:
        what = "counted the other way" if each.kind == "wrong direction" else each.kind
        mistakes.add_row(str(each.frame), _clock(each.frame / audited.fps), escape(each.line_id), each.direction, what)
    console.print(mistakes)


def _show_totals(console: Console, audited: Audited, title: str) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("line")
    table.add_column("way")
    for heading in ("true", "counted", "off by", "accuracy of the total (95%)"):
        table.add_column(heading, justify="right")
    for (line, direction), score in audited.totals.items():
        off = f"{score.counted - score.true:+d}"
        table.add_row(
            escape(line),
            direction,
            str(score.true),
            str(score.counted),
            off,
            _share(score.accuracy, score.accuracy_interval),
        )
    console.print(table)
    console.print(TOTALS)


def _cells(score: "Score") -> list[str]:
    return [
        *(str(each) for each in (score.true, score.right, score.missed, score.wrong, score.invented)),
        _share(score.found, score.found_interval),
        _share(score.accuracy, score.accuracy_interval),
    ]


def _share(value: float | None, interval: "Interval | None") -> str:
    if value is None or interval is None:
        return "-"
    return f"{100 * value:.1f}% ({100 * interval[0]:.0f}-{100 * interval[1]:.0f})"


def _clock(time_s: float) -> str:
    from edge.pictures.annotate import clock

    return clock(time_s)


def as_json(audited: Audited) -> str:
    """Everything that is shown, for a program."""
    document: dict[str, Any] = {
        "video": audited.video,
        "frames": audited.frames,
        "fps": audited.fps,
        "compared": "totals" if audited.crossings is None else "crossings",
        "accuracy": _rounded(audited.pooled),
    }
    if audited.crossings is None:
        document["lines"] = [
            {
                "name": line,
                "direction": direction,
                "true": score.true,
                "counted": score.counted,
                "accuracy": _rounded(score.accuracy),
                "accuracy_95": _pair(score.accuracy_interval),
            }
            for (line, direction), score in audited.totals.items()
        ]
        document["intervals"] = TOTALS
    else:
        document["lines"] = [
            {"name": line, "direction": direction, **_score(score)}
            for (line, direction), score in audited.crossings.scores.items()
        ]
        document["all"] = _score(audited.crossings.pooled)
        document["mistakes"] = [
            {
                "frame": each.frame,
                "time_s": round(each.frame / audited.fps, 3),
                "line": each.line_id,
                "direction": each.direction,
                "kind": each.kind,
            }
            for each in audited.crossings.mistakes
        ]
        document["intervals"] = INTERVALS
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _score(score: "Score") -> dict[str, Any]:
    return {
        "true": score.true,
        "right": score.right,
        "missed": score.missed,
        "wrong_direction": score.wrong,
        "invented": score.invented,
        "found": _rounded(score.found),
        "found_95": _pair(score.found_interval),
        "accuracy": _rounded(score.accuracy),
        "accuracy_95": _pair(score.accuracy_interval),
        "invented_per_true_95": _pair(score.invented_interval),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _pair(interval: "Interval | None") -> list[float] | None:
    return None if interval is None else [round(each, 4) for each in interval]
