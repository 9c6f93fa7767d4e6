"""What calibration writes into edge.toml: what was measured and nothing else, whoever wrote the file by hand."""

import tomllib
from dataclasses import replace

import pytest

from edge import config
from edge.calibration.proposal import Calibration, calibrate
from edge.calibration.writing import fragment, updated
from edge.tomledit import EditError
from tests.edge.calibration.walked import seen, through_a_door, walked


class TestWriting:
    TEXT = """\
# the door at the back
[device]
name = "door-1"   # ask Li
[broker]
host = "broker"
[outbox]
path = "outbox.sqlite"

[[camera]]
id = "C1"
source = "a.mp4"
  [[camera.line]]
  id = "L1"
  start = [0.0, 0.5]  # from the till
  end = [1.0, 0.5]
  inside = [0.5, 0.9]
  settle = "on_exit"

# the second one, 2021
[[camera]]
id = "C2"
source = "b.mp4"
  [[camera.line]]
  id = "L2"
  start = [0.0, 0.4]
  end = [1.0, 0.4]
  inside = [0.5, 0.9]
  [camera.size]
  adult = [[0.1, 0.2], [0.9, 0.4]]  # by eye
  child_below = 0.6
"""

    def proposal(self, line_id: str) -> Calibration:
        return calibrate(seen(walked(*through_a_door(8))), inside=(0.5, 0.95), line_id=line_id)

    def test_only_what_was_measured_changes(self) -> None:
        result = self.proposal("L2")
        text = updated(self.TEXT, "C2", result)
        before, after = self.TEXT.splitlines(), text.splitlines()
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        assert [a.split("=")[0].strip() for a, _ in changed] == ["start", "end", "inside", "adult"]
        assert "# by eye" in changed[-1][1]
        camera = config.parse(text).camera[1]
        assert result.line is not None
        assert camera.line[0].line() == result.line
        assert camera.size is not None
        assert result.size is not None
        assert camera.size.adult == result.size.adult
        assert camera.size.child_below == 0.6

    def test_a_size_is_added_where_there_is_none_and_remarks_stay_where_they_belong(self) -> None:
        text = updated(self.TEXT, "C1", self.proposal("L1"))
        assert config.parse(text).camera[0].size is not None
        assert config.parse(text).camera[0].line[0].settle == "on_exit"
        assert "# from the till" in text
        assert text.index("[camera.size]") < text.index("# the second one, 2021") < text.index('id = "C2"')

    def test_a_line_is_added_where_there_is_none_of_that_name(self) -> None:
        lines = config.parse(updated(self.TEXT, "C1", self.proposal("L9"))).camera[0].line
        assert [line.id for line in lines] == ["L1", "L9"]

    def test_bends_make_way_for_a_straight_line(self) -> None:
        bent = self.TEXT.replace("start = [0.0, 0.4]\n  end = [1.0, 0.4]", "points = [[0, 0.4], [0.5, 0.5], [1, 0.4]]")
        found = config.parse(updated(bent, "C2", self.proposal("L2"))).camera[1].line[0]
        assert (found.points, found.start is None) == ((), False)

    @pytest.mark.parametrize(
        ("text", "camera", "words"),
        [
            (TEXT, "C3", "no camera 'C3' in it; there is: C1, C2"),
            ("camera = 3\n", "C1", "put the fragment that is printed without --write in by hand"),
            ("camera = ", "C1", "not valid TOML"),
        ],
    )
    def test_what_cannot_be_changed_safely_is_refused(self, text: str, camera: str, words: str) -> None:
        with pytest.raises(EditError) as caught:
            updated(text, camera, self.proposal("L1"))
        assert words in str(caught.value)

    def test_what_is_written_in_another_way_is_followed(self) -> None:
        result = self.proposal("L1")
        assert result.line is not None
        lines = self.TEXT.replace("start = [0.0, 0.5]", "start = [\n  0.0, # left\n  0.5 ]")
        text = updated(lines, "C1", result)
        assert "# left" in text
        assert config.parse(text).camera[0].line[0].line().start == result.line.start
        inline = "camera = [{id = 'C1', source = 0}]  # the only one\n"
        (camera,) = tomllib.loads(updated(inline, "C1", result))["camera"]
        assert tuple(camera["line"][0]["start"]) == result.line.start
        assert len(camera["size"]["adult"]) == 2
        assert "# the only one" in updated(inline, "C1", result)

    def test_the_fragment_says_what_is_set(self) -> None:
        result = self.proposal("L1")
        by_hand = tomllib.loads(fragment(result))["camera"]
        camera = tomllib.loads(updated("[[camera]]\nid = 'C1'\n", "C1", result))["camera"][0]
        assert camera == {"id": "C1", **by_hand}

    def test_a_line_proposed_for_another_anchor_is_counted_by_it(self) -> None:
        result = self.proposal("L1")
        assert result.line is not None
        told = replace(result, line=replace(result.line, anchor="head"))
        assert tomllib.loads(fragment(told))["camera"]["line"][0]["anchor"] == "head"
        headed = updated(self.TEXT, "C1", told)
        assert config.parse(headed).camera[0].line[0].anchor == "head"
        assert config.parse(updated(headed, "C1", result)).camera[0].line[0].anchor is None

    def test_the_fragment_is_what_a_camera_takes(self) -> None:
        text = "\n".join(line for line in fragment(self.proposal("L7")).splitlines())
        camera = tomllib.loads(text)["camera"]
        assert camera["line"][0]["id"] == "L7"
        assert len(camera["size"]["adult"]) == 2
