"""Audits: who is paired with whom, figures worked out by hand, and what a hand count may look like."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.auditing.clips import cut_out
from edge.auditing.intervals import events, share
from edge.auditing.matching import Matching, Noted, Score, TotalScore, audit, match
from edge.auditing.truth import TruthError, read_truth
from edge.camera import open_source
from edge.models import Direction, Line


@dataclass(frozen=True)
class Found:
    """A crossing as the counter gives it."""

    frame: int
    direction: Direction
    line_id: str = "door"


def noted(*moments: str, tolerance: int = 5) -> list[Noted]:
    """Crossings from words such as `in@100`."""
    return [Noted("door", "in" if way == "in" else "out", int(at), tolerance) for way, at in _split(moments)]


def found(*moments: str) -> list[Found]:
    return [Found(int(at), "in" if way == "in" else "out") for way, at in _split(moments)]


def _split(moments: tuple[str, ...]) -> list[list[str]]:
    return [moment.split("@") for moment in moments]


SITUATIONS = [
    ("all right", ["in@10", "out@50"], ["in@12", "out@48"], Matching(((0, 0), (1, 1)), (), (), ())),
    ("missed", ["in@10", "in@50"], ["in@49"], Matching(((1, 0),), (), (0,), ())),
    ("invented", ["in@10"], ["in@11", "in@14"], Matching(((0, 0),), (), (), (1,))),
    ("wrong way", ["in@10"], ["out@12"], Matching((), ((0, 0),), (), ())),
    ("too late is missed and invented", ["in@10"], ["in@16"], Matching((), (), (0,), (0,))),
    ("just in time", ["in@10"], ["in@15"], Matching(((0, 0),), (), (), ())),
    ("two together", ["in@10", "in@12"], ["in@11", "in@12"], Matching(((0, 0), (1, 1)), (), (), ())),
    # The nearest pair is 15 and 14; taken first, it would leave 10 and 19 without partners.
    ("greed would lose one", ["in@10", "in@15"], ["in@14", "in@19"], Matching(((0, 0), (1, 1)), (), (), ())),
    ("right ones come first", ["in@10", "out@11"], ["out@10"], Matching(((1, 0),), (), (0,), ())),
    ("nothing at all", [], [], Matching((), (), (), ())),
    ("nobody was there", [], ["in@1"], Matching((), (), (), (0,))),
    ("nobody was counted", ["out@1"], [], Matching((), (), (0,), ())),
]


@pytest.mark.parametrize(
    ("true", "counted", "expected"), [row[1:] for row in SITUATIONS], ids=[r[0] for r in SITUATIONS]
)
def test_crossings_are_paired(true: list[str], counted: list[str], expected: Matching) -> None:
    assert match(noted(*true), found(*counted)) == expected


@given(st.lists(st.tuples(st.integers(0, 300), st.booleans())), st.lists(st.tuples(st.integers(0, 300), st.booleans())))
def test_everyone_is_accounted_for_once(true: list[tuple[int, bool]], counted: list[tuple[int, bool]]) -> None:
    due = [Noted("door", "in" if way else "out", at, 8) for at, way in true]
    seen = [Found(at, "in" if way else "out") for at, way in counted]
    pairs = match(due, seen)
    matched = [*pairs.right, *pairs.wrong]
    assert sorted([t for t, _ in matched] + list(pairs.missed)) == list(range(len(due)))
    assert sorted([f for _, f in matched] + list(pairs.invented)) == list(range(len(seen)))
    assert all(abs(due[t].frame - seen[f].frame) <= 8 for t, f in matched)
    assert all(due[t].direction == seen[f].direction for t, f in pairs.right)
    assert all(due[t].direction != seen[f].direction for t, f in pairs.wrong)
    # Nobody is left who could still be paired with somebody left.
    assert not any(abs(due[t].frame - seen[f].frame) <= 8 for t in pairs.missed for f in pairs.invented)


class TestFigures:
    """One audit worked out by hand: 8 in and 4 out; one in missed, one out taken for an in, one in invented."""

    TRUE = (
        "in@10",
        "in@20",
        "in@30",
        "in@40",
        "in@50",
        "in@60",
        "in@70",
        "in@80",
        "out@100",
        "out@120",
        "out@140",
        "out@160",
    )
    COUNTED = (
        "in@11",
        "in@19",
        "in@30",
        "in@42",
        "in@50",
        "in@61",
        "in@70",
        "in@90",
        "in@102",
        "out@120",
        "out@141",
        "out@158",
    )

    def test_scores_and_mistakes(self) -> None:
        result = audit(noted(*self.TRUE), found(*self.COUNTED), ["door"])
        assert result.scores["door", "in"] == Score(true=8, right=7, wrong=0, invented=1)
        assert result.scores["door", "out"] == Score(true=4, right=3, wrong=1, invented=0)
        assert [(each.kind, each.direction, each.frame) for each in result.mistakes] == [
            ("missed", "in", 80),
            ("invented", "in", 90),
            ("wrong direction", "out", 100),
        ]
        pooled = result.pooled
        assert (pooled.true, pooled.right, pooled.wrong, pooled.missed, pooled.invented) == (12, 10, 1, 1, 1)
        assert pooled.found == pytest.approx(10 / 12)
        assert pooled.accuracy == pytest.approx(10 / 13)
        # By hand: p = 10/13, n = 13, z² = 3.8415: (0.76923 + 0.14775 ± 1.96 sqrt(0.013655 + 0.005683)) / 1.29550.
        assert pooled.accuracy_interval == pytest.approx((0.4974, 0.9182), abs=2e-4)

    def test_a_line_nobody_watched_is_left_out(self) -> None:
        result = audit(noted("in@10"), [*found("in@10"), Found(10, "in", "street")], ["door"])
        assert result.pooled == Score(1, 1, 0, 0)

    def test_without_any_crossing_nothing_is_said(self) -> None:
        pooled = audit([], [], ["door"]).pooled
        assert (pooled.found, pooled.accuracy, pooled.accuracy_interval, pooled.invented_interval) == (None,) * 4

    def test_totals_are_as_good_as_their_difference(self) -> None:
        score = TotalScore(true=12, counted=9)
        assert score.accuracy == pytest.approx(0.75)
        # Three errors, Garwood: 0.6187 to 8.7673 of 12.
        assert score.accuracy_interval == pytest.approx((1 - 8.7673 / 12, 1 - 0.6187 / 12), abs=1e-4)
        assert TotalScore(0, 3).accuracy is None
        assert TotalScore(2, 9).accuracy == 0.0


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_a_share_has_wilsons_interval(part: int, whole: int, low: float, high: float) -> None:
    assert share(part, whole) == pytest.approx((low, high), abs=5e-5)
    mirrored = share(whole - part, whole)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=5e-5)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # From tables of the Poisson distribution (half the chi-squared quantiles with 2n and 2n + 2 degrees of freedom).
    [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (5, 1.6235, 11.6683), (10, 4.7954, 18.3904), (100, 81.3640, 121.6270)],
)
def test_a_count_of_events_has_garwoods_interval(count: int, low: float, high: float) -> None:
    assert events(count) == pytest.approx((low, high), abs=2e-3)


class TestTruth:
    def read(self, text: str, tmp_path: Path, name: str = "hand.csv", fps: float = 10.0) -> list[tuple[str, str, int]]:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        crossings = read_truth(str(path), video="door.mp4", fps=fps, tolerance=20).crossings
        assert crossings is not None
        return [(each.line_id, each.direction, each.frame) for each in crossings]

    @pytest.mark.parametrize(
        "text",
        [
            "time,line,direction\n0:08.3,door,in\n1:00:02,door,out\n",
            "\ufefftime;line;direction\r\n8.3s;door;IN\r\n1:00:02;door;exit\r\n",
            "83\tdoor\tin\n\n# then lunch\n36020\tdoor\to\n",
            "8.3 s,door,进\n60:02,door,出\n",
            "frame,line,direction\n83,door,in\n36020f,door,out\n",
            "seconds,line,direction\n8.3,door,in\n3602,door,out\n",
            "time,line,direction\n83f,door,in\n1:00:02,door,out\n",
        ],
    )
    def test_rows_as_people_write_them(self, tmp_path: Path, text: str) -> None:
        assert self.read(text, tmp_path) == [("door", "in", 83), ("door", "out", 36020)]

    def test_the_line_may_be_left_out(self, tmp_path: Path) -> None:
        assert self.read("1:00,in\n1:30,out\n", tmp_path) == [("", "in", 600), ("", "out", 900)]

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("0:08,door,in\n0:09,door,up\n", "line 2: the direction is 'up'"),
            ("soon,door,in\n", "line 1: 'soon' is no moment"),
            ("-5,door,in\n", "'-5' is no moment"),
            ("0:08,door,in,twice\n", "has 4 values"),
            ("time,line,direction\n", "holds no crossing"),
            ("", "holds no crossing"),
            ("0:08,door,in\n9,door,out\n", "line 2: '9' is a bare number, but line 1 has a time (0:08)"),
            ("9,door,in\n12,door,in\n8.3s,door,out\n", "line 1: '9' is a bare number, but line 3 has a time (8.3s)"),
            ("9,door,in\n0:08,door,out\n", "write 9f for the frame, or 9s for seconds"),
            ("time,line,direction\n83,door,in\n", "line 2: '83' under 'time' may be a frame or seconds; write 83f"),
        ],
    )
    def test_what_is_not_understood_is_named(self, tmp_path: Path, text: str, words: str) -> None:
        with pytest.raises(TruthError) as caught:
            self.read(text, tmp_path)
        assert words in str(caught.value)

    def test_what_is_no_hand_count_at_all_is_said_to_be_none(self, tmp_path: Path) -> None:
        film = tmp_path / "door.mp4"
        film.write_bytes(b"\x00\x00\x00\x20ftypisom\xd5")
        for given_, words in ((str(tmp_path), "is a directory"), (str(film), "is not UTF-8 text"), ("", "no file ''")):
            with pytest.raises(TruthError, match=words):
                read_truth(given_, video="door.mp4", fps=10, tolerance=1)

    def test_totals_are_taken_from_words_or_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "totals.txt").write_text("in=12 out=9\n")
        for given_ in ("in=12,out=9", str(tmp_path / "totals.txt"), "IN = 12; out=9"):
            truth = read_truth(given_, video="door.mp4", fps=10, tolerance=1)
            assert truth.crossings is None
            assert truth.totals == {("", "in"): 12, ("", "out"): 9}
        named = read_truth("door:in=3,street:out=4", video="v", fps=10, tolerance=1)
        assert named.totals == {("door", "in"): 3, ("door", "out"): 0, ("street", "in"): 0, ("street", "out"): 4}
        many = ",".join(f"a-door-with-a-name-{number}:in={number}" for number in range(300))
        assert len(read_truth(many, video="v", fps=10, tolerance=1).totals) == 600

    @pytest.mark.parametrize("given_", ["in=12,ou=9", "in=1,in=2", "nowhere.csv"])
    def test_totals_that_cannot_be_meant_are_refused(self, given_: str) -> None:
        with pytest.raises(TruthError):
            read_truth(given_, video="door.mp4", fps=10, tolerance=1)

    def test_json_of_many_clips_knows_lines_and_tolerances(self, tmp_path: Path) -> None:
        line = {
            "name": "door",
            "from": [0, 0.5],
            "to": [1, 0.5],
            "inside": [0.5, 0.9],
            "anchor": "feet",
            "in": 1,
            "out": 0,
        }
        crossing = {"frame": 7, "direction": "in", "tolerance": 3}
        path = tmp_path / "truth.json"
        path.write_text(
            json.dumps({"clips": {"door.mp4": {"mounting": "overhead", "lines": [{**line, "crossings": [crossing]}]}}})
        )
        truth = read_truth(str(path), video="/far/door.mp4", fps=10, tolerance=99)
        assert truth.crossings == (Noted("door", "in", 7, 3),)
        assert truth.lines == (Line("door", (0, 0.5), (1, 0.5), (0.5, 0.9), anchor="feet"),)
        assert truth.mounting == "overhead"
        with pytest.raises(TruthError, match="knows nothing of other"):
            read_truth(str(path), video="other.mp4", fps=10, tolerance=1)

    def test_json_that_count_wrote_can_be_corrected_and_used(self, tmp_path: Path) -> None:
        path = tmp_path / "count.json"
        path.write_text(
            json.dumps(
                {
                    "video": "door.mp4",
                    "frames": 9,
                    "lines": [{"name": "line", "in": 1, "out": 0}],
                    "crossings": [{"frame": 4, "time_s": 0.4, "line": "line", "direction": "in", "track": 1}],
                }
            )
        )
        truth = read_truth(str(path), video="door.mp4", fps=10, tolerance=6)
        assert truth.crossings == (Noted("line", "in", 4, 6),)

    def test_json_with_totals_alone_is_taken_for_what_it_is(self, tmp_path: Path) -> None:
        path = tmp_path / "totals.json"
        path.write_text(json.dumps({"lines": [{"name": "door", "in": 4, "out": 2}]}))
        assert read_truth(str(path), video="v", fps=10, tolerance=1).totals == {("door", "in"): 4, ("door", "out"): 2}
        path.write_text(json.dumps({"lines": [{"name": "door"}]}))
        with pytest.raises(TruthError, match="neither crossings nor totals"):
            read_truth(str(path), video="v", fps=10, tolerance=1)
        path.write_text("{")
        with pytest.raises(TruthError):
            read_truth(str(path), video="v", fps=10, tolerance=1)


def test_each_mistake_becomes_a_clip_about_its_moment(tmp_path: Path) -> None:
    result = audit(noted("in@2", "out@30"), found("in@58"), ["door"])
    with open_source("scene:overhead?seconds=5&fps=12&size=160x120") as source:
        lines = [Line("door", (0.1, 0.5), (0.9, 0.5), (0.5, 0.9))]
        made = cut_out(source, {}, result.mistakes, tmp_path / "clips", lines=lines, mounting="overhead")
    assert [path.name for path in made] == [
        "001-0m00s2-frame2-missed-door-in.mp4",
        "002-0m02s5-frame30-missed-door-out.mp4",
        "003-0m04s8-frame58-invented-door-in.mp4",
    ]
    lengths = []
    for path in made:
        capture = cv2.VideoCapture(str(path))
        lengths.append(round(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        capture.release()
    assert lengths == [2 + 1 + 24, 24 + 1 + 24, 24 + 1 + 1]  # cut off where the recording begins and ends
