"""Staff, children, carts and zones: who is tagged, who is not, and when it is too late."""

from dataclasses import replace

import numpy as np
import pytest

from edge.counter import Counter
from edge.counting.tags import adult_height
from edge.counting.zones import Ignored, Region
from edge.models import (
    CART,
    PERSON,
    AdultSize,
    Crossing,
    Detections,
    Line,
    Point,
    StaffRule,
    Tagging,
    Track,
    Zone,
)
from edge.pipeline import Follower
from tests.edge.walks import FPS, Walk, count, path, totals

DOOR = Line("door", (0.0, 0.7), (1.0, 0.7), (0.5, 0.1))
TILL = Zone("till", ((0.6, 0.2), (0.9, 0.2), (0.9, 0.4), (0.6, 0.4)), "staff", stay_s=3.0)
AISLE = Zone("aisle", ((0.3, 0.3), (0.7, 0.3), (0.7, 0.6), (0.3, 0.6)))
STREET, SHOP = (0.5, 0.9), (0.5, 0.5)
SIZE = AdultSize(((0.4, 0.2), (0.9, 0.4)))


def stands(at: Point, seconds: float) -> list[Point]:
    return [at] * round(seconds * FPS)


def tags(found: list[Crossing]) -> list[tuple[str, tuple[str, ...]]]:
    return [(crossing.direction, crossing.tags) for crossing in found]


class TestZonesThatCount:
    def test_entering_and_leaving_count_under_the_zones_id(self) -> None:
        found = count([Walk(1, path((0.1, 0.45), (0.9, 0.45)))], [DOOR], zones=[AISLE])
        assert [(c.line_id, c.direction) for c in found] == [("aisle", "in"), ("aisle", "out")]

    @pytest.mark.parametrize("turned", [AISLE.points[::-1], AISLE.points[2:] + AISLE.points[:2]])
    def test_the_order_of_corners_does_not_matter(self, turned: tuple[Point, ...]) -> None:
        walk = Walk(1, path((0.5, 0.1), (0.5, 0.45)))
        assert totals(count([walk], [], zones=[replace(AISLE, points=turned)])) == (1, 0)

    def test_a_corner_cut_off_counts_both_ways_or_not_at_all(self) -> None:
        assert totals(count([Walk(1, path((0.25, 0.4), (0.4, 0.25)))], [], zones=[AISLE])) == (0, 0)
        assert totals(count([Walk(1, path((0.2, 0.55), (0.6, 0.15)))], [], zones=[AISLE])) == (1, 1)

    def test_through_its_very_corner_is_one_entry(self) -> None:
        assert totals(count([Walk(1, path((0.1, 0.1), (0.5, 0.5)))], [], zones=[AISLE])) == (1, 0)

    def test_settling_on_exit_forgets_who_only_passed_through(self) -> None:
        walk = Walk(1, path((0.1, 0.45), (0.9, 0.45)))
        assert count([walk], [], zones=[replace(AISLE, settle="on_exit")]) == []

    def test_one_who_appears_inside_only_leaves(self) -> None:
        assert totals(count([Walk(1, path((0.5, 0.45), (0.9, 0.45)))], [], zones=[AISLE])) == (0, 1)


class TestIgnored:
    def test_only_what_stands_in_it_is_left_out(self) -> None:
        found = Detections(
            np.asarray([[0.7, 0.1, 0.8, 0.3], [0.1, 0.1, 0.2, 0.3], [0.7, 0.2, 0.8, 0.9]], np.float32),
            np.asarray([0.9, 0.8, 0.7], np.float32),
        )
        left = Ignored([replace(TILL, kind="ignore"), TILL], "oblique").without(found)
        assert left.scores.tolist() == pytest.approx([0.8, 0.7])

    def test_a_mirror_s_people_are_neither_followed_nor_counted(self) -> None:
        mirror = Zone("mirror", ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), "ignore")
        for zones, due in (([], 1), ([mirror], 0)):
            follower = Follower([DOOR], mounting="overhead", aspect=1.0, zones=zones)
            steps = [
                follower.follow(Detections(boxes(y), np.asarray([0.9], np.float32)), i, i / FPS)
                for i, y in enumerate(np.linspace(0.9, 0.4, 30))
            ]
            assert len([c for step in steps for c in step.crossings] + follower.finish()) == due
            assert bool(steps[-1].tracks) is bool(due)

    def test_points_on_a_ray_through_a_corner_are_told_right(self) -> None:
        region = Region(replace(AISLE, points=((0.2, 0.5), (0.5, 0.2), (0.8, 0.5), (0.5, 0.8))), "overhead")
        assert [region.contains((x, 0.5)) for x in (0.1, 0.3, 0.7, 0.9)] == [False, True, True, False]


def boxes(y: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.asarray([[0.45, y - 0.05, 0.55, y + 0.05]], np.float32)


class TestStaff:
    def test_who_stays_behind_the_till_is_tagged_from_then_on(self) -> None:
        walk = Walk(1, [*path(STREET, SHOP, (0.75, 0.3)), *stands((0.75, 0.3), 4), *path((0.75, 0.3), STREET)])
        assert tags(count([walk], [DOOR], zones=[TILL])) == [("in", ()), ("out", ("staff",))]

    def test_a_customer_at_the_till_is_not(self) -> None:
        walk = Walk(1, [*path(STREET, SHOP, (0.75, 0.3)), *stands((0.75, 0.3), 1), *path((0.75, 0.3), STREET)])
        assert tags(count([walk], [DOOR], zones=[TILL])) == [("in", ()), ("out", ())]

    def test_waiting_lets_the_way_in_be_tagged_too(self) -> None:
        walk = Walk(1, [*path(STREET, SHOP, (0.75, 0.3)), *stands((0.75, 0.3), 6)])
        for wait_s, due in ((0.0, ()), (1.0, ()), (30.0, ("staff",))):
            found = count([walk], [DOOR], zones=[TILL], tagging=Tagging(wait_s=wait_s))
            assert tags(found) == [("in", due)]

    def test_a_crossing_that_waited_keeps_its_date(self) -> None:
        walk = Walk(1, [*path(STREET, SHOP), *stands(SHOP, 9)])
        (now,), (later,) = count([walk], [DOOR]), count([walk], [DOOR], tagging=Tagging(wait_s=5.0))
        assert now == later

    def test_it_is_given_out_when_the_wait_is_over(self) -> None:
        walk = Walk(1, [*path(STREET, SHOP), *stands(SHOP, 9)])
        counter = Counter([DOOR], mounting="overhead", aspect=1.0, tagging=Tagging(wait_s=5.0))
        given = []
        for frame in range(len(walk.points)):
            track = walk.at(frame)
            assert track is not None
            given += [(frame, c.frame) for c in counter.update([track], frame, frame / FPS)]
        ((told, crossed),) = given
        assert 5.0 <= (told - crossed) / FPS <= 6.0

    def test_settling_on_exit_knows_all_there_is(self) -> None:
        walk = Walk(1, [*path(STREET, SHOP, (0.75, 0.3)), *stands((0.75, 0.3), 6)])
        found = count([walk], [replace(DOOR, settle="on_exit")], zones=[TILL])
        assert tags(found) == [("in", ("staff",))]

    def test_time_in_the_zone_adds_up_and_time_unseen_does_not(self) -> None:
        steps_in = [*stands((0.75, 0.3), 2), *stands((0.5, 0.3), 1), *stands((0.75, 0.3), 2)]
        unseen: list[Point | None] = [*stands((0.75, 0.3), 1), *[None] * 40, *stands((0.75, 0.3), 1)]
        for middle, due in ((list[Point | None](steps_in), ("staff",)), (unseen, ())):
            walk = Walk(1, [*middle, *path((0.75, 0.3), STREET)])
            assert tags(count([walk], [DOOR], zones=[TILL])) == [("out", due)]

    def test_many_crossings_in_a_while_make_staff_from_that_one_on(self) -> None:
        rule = StaffRule(crossings_at_least=3, within_s=60.0, line_id="door")
        walk = Walk(1, path(STREET, SHOP, STREET, SHOP, STREET))
        found = count([walk], [DOOR], tagging=Tagging((rule,)))
        assert tags(found) == [("in", ()), ("out", ()), ("in", ("staff",)), ("out", ("staff",))]

    def test_and_after_however_long_a_break(self) -> None:
        rule = StaffRule(crossings_at_least=3, within_s=20.0)
        walk = Walk(1, [*path(STREET, SHOP, STREET, SHOP), *stands(SHOP, 60), *path(SHOP, STREET)])
        found = count([walk], [DOOR], tagging=Tagging((rule,)))
        assert tags(found) == [("in", ()), ("out", ()), ("in", ("staff",)), ("out", ("staff",))]

    def test_as_many_spread_over_the_day_do_not(self) -> None:
        rule = StaffRule(crossings_at_least=3, within_s=6.0)
        walk = Walk(
            1, [*path(STREET, SHOP), *stands(SHOP, 9), *path(SHOP, STREET), *stands(STREET, 9), *path(STREET, SHOP)]
        )
        assert all(crossing.tags == () for crossing in count([walk], [DOOR], tagging=Tagging((rule,))))

    @pytest.mark.parametrize(("begins", "due"), [((0.75, 0.3), ("staff",)), ((0.2, 0.3), ())])
    def test_who_began_behind_the_till_is_staff(self, begins: Point, due: tuple[str, ...]) -> None:
        zone = replace(TILL, stay_s=600.0)
        rule = StaffRule(began_in="till")
        found = count([Walk(1, path(begins, STREET), late=3)], [DOOR], zones=[zone], tagging=Tagging((rule,)))
        assert tags(found) == [("out", due)]

    def test_all_of_one_rule_must_hold_and_any_rule_will_do(self) -> None:
        both = StaffRule(crossings_at_least=2, began_in="till")
        twice = StaffRule(crossings_at_least=2)
        walk = Walk(1, path((0.2, 0.3), STREET, SHOP))
        assert tags(count([walk], [DOOR], zones=[TILL], tagging=Tagging((both,)))) == [("out", ()), ("in", ())]
        found = count([walk], [DOOR], zones=[TILL], tagging=Tagging((both, twice)))
        assert tags(found) == [("out", ()), ("in", ("staff",))]

    def test_tags_stay_with_a_path_put_together_of_two_tracks(self) -> None:
        walks = [
            Walk(1, [*stands((0.75, 0.3), 4), *path((0.75, 0.3), (0.5, 0.69))]),
            Walk(2, path((0.5, 0.71), STREET), start=72),
        ]
        assert len(walks[0].points) < 72
        assert tags(count(walks, [DOOR], zones=[TILL])) == [("out", ("staff",))]


def walks_in(heights: list[float]) -> Walk:
    """Someone who walks in over the door by their feet, with these shares of an adult's height in turn."""
    feet = path((0.5, 0.85), (0.5, 0.55), step=0.01)
    sizes = [(0.06, adult_height(SIZE, y) * heights[i % len(heights)]) for i, (_, y) in enumerate(feet)]
    return Walk(1, [(x, y - high / 2) for (x, y), (_, high) in zip(feet, sizes, strict=True)], sizes=sizes)


class TestChild:
    @pytest.mark.parametrize(
        ("heights", "due"),
        [
            ([0.6], ("child",)),
            ([1.0], ()),
            ([0.8], ()),
            ([1.0, 0.5, 1.0, 0.5, 1.0], ()),
            ([0.6, 0.6, 1.0, 0.6, 1.0], ("child",)),
        ],
    )
    def test_the_median_height_tells(self, heights: list[float], due: tuple[str, ...]) -> None:
        found = count([walks_in(heights)], [DOOR], mounting="oblique", tagging=Tagging(size=SIZE))
        assert tags(found) == [("in", due)]

    def test_without_heights_of_adults_or_from_above_nobody_is(self) -> None:
        assert tags(count([walks_in([0.5])], [DOOR], mounting="oblique")) == [("in", ())]
        door = replace(DOOR, anchor="feet")
        assert tags(count([walks_in([0.5])], [door], mounting="overhead", tagging=Tagging(size=SIZE))) == [("in", ())]

    def test_a_seated_adult_who_then_walks_in_is_no_child(self) -> None:
        walk = walks_in([1.0])
        sitting = Walk(1, [walk.points[0]] * 200, sizes=[(0.06, 0.2)] * 200)
        joined = Walk(1, [*sitting.points, *walk.points], sizes=[*sitting.sizes, *walk.sizes])
        found = count([joined], [DOOR], mounting="oblique", tagging=Tagging(size=SIZE))
        assert tags(found) == [("in", ())]

    def test_who_is_half_hidden_by_another_is_not_measured(self) -> None:
        beside = Walk(2, [(0.55, 0.6)] * 40, size=(0.2, 0.6))
        found = count([walks_in([0.6]), beside], [DOOR], mounting="oblique", tagging=Tagging(size=SIZE))
        assert tags(found) == [("in", ())]

    def test_heights_are_linear_between_depths_and_beyond(self) -> None:
        assert [adult_height(SIZE, y) for y in (0.4, 0.65, 0.9, 1.0)] == pytest.approx([0.2, 0.3, 0.4, 0.44])


class TestCart:
    def found(self, y: float, *, cart: float | None) -> Detections:
        rows = [[0.45, y - 0.1, 0.55, y + 0.1], [0.1, 0.2, 0.2, 0.4]]
        classes = [PERSON, PERSON]
        if cart is not None:
            rows.append([cart - 0.05, y - 0.15, cart + 0.05, y])
            classes.append(CART)
        return Detections(
            np.asarray(rows, np.float32), np.full(len(rows), 0.9, np.float32), np.asarray(classes, np.uint8)
        )

    @pytest.mark.parametrize(("cart", "due"), [(0.5, ("cart",)), (0.8, ()), (None, ())])
    def test_who_pushes_one_is_tagged_and_the_cart_is_not_counted(
        self, cart: float | None, due: tuple[str, ...]
    ) -> None:
        follower = Follower([DOOR], mounting="overhead", aspect=1.0)
        found: list[Crossing] = []
        tracks: list[Track] = []
        for i, y in enumerate(np.linspace(0.9, 0.4, 40)):
            step = follower.follow(self.found(float(y), cart=cart), i, i / FPS)
            found, tracks = [*found, *step.crossings], step.tracks
        assert tags([*found, *follower.finish()]) == [("in", due)]
        assert len(tracks) == 2

    def test_a_cart_someone_walks_past_is_not_theirs(self) -> None:
        follower = Follower([DOOR], mounting="overhead", aspect=1.0)
        found: list[Crossing] = []
        for i, y in enumerate(np.linspace(0.9, 0.4, 40)):
            near = 0.5 if 18 <= i < 24 else None
            found += follower.follow(self.found(float(y), cart=near), i, i / FPS).crossings
        assert tags([*found, *follower.finish()]) == [("in", ())]
