"""What the page of a camera's picture says: its script has no words of its own."""

from typing import Final

from dashboards.i18n import N_

#: What the script says, by its own names; {…} stands for what it fills in.
WORDS: Final = {
    "own_file": N_("The box's own file"),
    "point": N_("Point {number} of {name}: {x} % across, {y} % down. Move it with the arrow keys."),
    "x": N_("Point {number}, across (%)"),
    "y": N_("Point {number}, down (%)"),
    "remove_point": N_("Remove point {number}"),
    "add_point": N_("Add a point after point {number}"),
    "door": N_("Door"),
    "street": N_("Street"),
    "interior": N_("Within the shop"),
    "count": N_("Zone that counts"),
    "staff": N_("Staff zone"),
    "ignore": N_("Not looked at"),
    "new_line": N_("Line {number}"),
    "new_zone": N_("Zone {number}"),
    "draw_line": N_("Press where the line begins and drag to where it ends; or use Enter for one across the middle."),
    "draw_zone": N_("Press in one corner and drag to the opposite one; or use Enter for one in the middle."),
    "asking": N_("The box is asked …"),
    "picture": N_(
        "A picture of {time}; people in it: {people}. It is kept for five minutes, and who looked is on record."
    ),
    "picture_veiled": N_(
        "A picture of {time}. The box is still learning what the empty scene looks like and can't tell people from it, "
        "so all of the picture is only shapes. Take another in a quarter of a minute. It is kept for five minutes, and "
        "who looked is on record."
    ),
    "paths": N_("Where {people} people walked in the last {seconds} s. A dot is where a way ends."),
    "no_paths": N_("Nobody walked there in the last {seconds} s."),
    "tried": N_(
        "In the last {seconds} s the box followed {people} people. This line would have counted {entries} in "
        "and {exits} out."
    ),
    "tried_none": N_("In the last {seconds} s the box followed {people} people, and none of them crossed this line."),
    "unsaved": N_("What you drew is not set yet."),
    "saved": N_("This is what the box was told."),
    "too_small": N_("{name} is too small, or its points lie on one spot."),
    "no_line": N_("Draw at least one line, or a zone that counts."),
}
#: Why a box could not give what was asked, by its code.
TROUBLE: Final = {
    "absent": N_("The box is not connected now."),
    "over_https": N_("The box reaches us over HTTPS only, where it can't be asked. Its counts arrive all the same."),
    "no_answer": N_("The box did not answer in time. Ask again."),
    "no_broker": N_("This server can't reach the broker."),
    "unknown_camera": N_("The box has no camera of this name. Name it in its edge.toml."),
    "no_picture": N_("The camera gives no picture."),
    "bad_line": N_("The box could not count by this line. Draw it otherwise."),
    "busy": N_("The box is asked too much at once. Wait a moment."),
    "too_many_requests": N_("Too much is asked at once. Wait a moment."),
    "failed": N_("The box could not do it; its log says why."),
}
#: Why what was drawn was not taken.
PROBLEMS: Final = {
    "no_box": N_("No box is known to watch this camera. Add a box to the store, and name the camera in its edge.toml."),
    "same": N_("The box is to count just so already."),
    "shape": N_("A line needs two different ends, and a zone three different corners."),
    "kind": N_("What a line counts is fixed once it is registered. Draw another line for another kind."),
    "name": N_("A name has 1 to 100 characters, on one line."),
    "taken": N_("A line's id can't be used, or belongs to another camera."),
    "rule": N_("A rule for staff speaks of a line or zone that you took away. Keep it, or change the rule first."),
    "no_line": N_("Draw at least one line, or a zone that counts."),
    "unread": N_("What was drawn could not be read. Reload the page and draw it again."),
}
