"""A few keys change, and everything a person wrote beside them stays."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.tomledit import Change, EditError, LayoutError, Value, edit, fragment

WRITTEN = """\
# The door to the street; the ladder is in the cellar.
[device]
name = "door-9"   # ask Li

[broker]
host = "old.example.com"
password_file = "door-9.password"
keepalive_s = 30

# The first camera, 2019.
[[camera]]
id = "C1"   # "[broker]" in a comment is none

  [[camera.line]]
  id = "L1"
  start = [0.0, 0.5]  # from the till
  # settle = "on_exit"

  # The emergency exit.
  [[camera.line]]
  id = "L2"
  points = [
    [0.0, 0.5],   # the till
    [1.0, 0.5],   # the mirror
  ]

# The second one, 2021.
[[camera]]
id = "C2"
"""
C1 = ("camera", "C1")
BROKER: dict[str, Value] = {"host": "new", "port": 1}


def change(*path: str | tuple[str, str], without: tuple[str, ...] = (), **keys: Value) -> Change:
    return Change(path, keys, without)


def test_keys_are_changed_added_and_taken_away_and_the_rest_stays() -> None:
    edited = edit(WRITTEN, change("broker", host="new.example.com", port=8883, without=("password_file",)))
    assert edited == WRITTEN.replace('"old.example.com"', '"new.example.com"').replace(
        'password_file = "door-9.password"\nkeepalive_s = 30', "keepalive_s = 30\nport = 8883"
    )


def test_in_one_of_an_array_of_tables_only_that_one_changes() -> None:
    edited = edit(WRITTEN, change(C1, ("line", "L1"), start=(0.1, 0.25), end=(0.9, 0.25)))
    assert edited == WRITTEN.replace("[0.0, 0.5]  #", "[0.1, 0.25]  #").replace(
        '  # settle = "on_exit"\n', '  # settle = "on_exit"\n  end = [0.9, 0.25]\n'
    )


def test_a_list_stays_laid_out_and_remarked_upon() -> None:
    edited = edit(WRITTEN, change(C1, ("line", "L2"), points=((0.1, 0.5), (1.0, 0.75))))
    assert edited == WRITTEN.replace("[0.0, 0.5],   # the till", "[0.1, 0.5],   # the till").replace(
        "[1.0, 0.5],   # the mirror", "[1.0, 0.75],   # the mirror"
    )


def test_what_is_added_to_one_comes_before_what_is_said_of_the_next() -> None:
    edited = edit(WRITTEN, change(C1, ("line", "L3"), start=(0.5, 0.5)), change(C1, "size", child_below=0.7))
    added = '\n  [[camera.line]]\n  id = "L3"\n  start = [0.5, 0.5]\n\n  [camera.size]\n  child_below = 0.7\n'
    assert edited == WRITTEN.replace("\n# The second one", added + "\n# The second one")
    last = edit(WRITTEN, change(("camera", "C2"), "size", child_below=0.7))
    assert last == WRITTEN + "\n  [camera.size]\n  child_below = 0.7\n"


def test_doing_it_again_changes_nothing() -> None:
    changes = (Change(("broker",), BROKER, without=("password_file",)), change(C1, "size", adult=((0.1, 0.2),)))
    once = edit(WRITTEN, *changes)
    assert edit(once, *changes) == once


@pytest.mark.parametrize(
    "text", ["", "# nothing yet\n", "[device]\nname = 'x'", "[[camera]]\nid = 'x'\n", "[a]\nb = 1\n\n\n# see below\n"]
)
def test_a_table_that_is_missing_is_added(text: str) -> None:
    edited = edit(text, change("broker", host="x"))
    assert tomllib.loads(edited) == {**tomllib.loads(text), "broker": {"host": "x"}}
    assert edited == text.rstrip("\n") + ("\n\n" if text else "") + '[broker]\nhost = "x"\n'


@pytest.mark.parametrize(
    "text",
    [
        'broker = { host = "x" }  # kept\n',
        "broker = {}  # kept\n",
        '# kept\nbroker.host = "x"\nother = 1\n',
        '[broker]\n"host" = "x"  # kept\n',
        '[broker]\nnote = """\nhost = "y"\n[x]\n# kept"""\nhost = "x"\n',
        '["broker"]\nhost = "x"\n# kept',
        '[broker]\nhost = "x"\n# kept\n[broker.further]\na = 1\n',
        '[broker.further]\na = 1  # kept\n[device]\n[broker]\nhost = "x"\n',
        '  [ broker ]  # kept\n\thost="x"\n',
    ],
)
def test_a_table_may_be_written_in_any_way(text: str) -> None:
    edited = edit(text, Change(("broker",), BROKER))
    before = tomllib.loads(text)
    assert tomllib.loads(edited) == {**before, "broker": {**before["broker"], **BROKER}}
    assert "# kept" in edited
    without = edit(text, change("broker", port=1, without=("host",)))
    assert "host" not in tomllib.loads(without)["broker"]


@pytest.mark.parametrize(
    "text",
    [
        "camera = [{id = 'C1'}, {id = 'C2'}]  # kept\n",
        "camera = [{id = 'C1', line = [{id = 'L1', start = [0, 0]}], size = {}}]  # kept\n",
        "[[camera]]\nid = 'C1'  # kept\nline = [{id = 'L1'}]\nsize.adult = 1\n",
        "[[camera]]\nid = 'C1'\n\t[camera.size]\n\tchild = 1\n\t# kept\n\n[x]\n",
    ],
)
def test_an_array_of_tables_may_be_written_in_any_way(text: str) -> None:
    edited = edit(text, change(C1, ("line", "L1"), start=(1, 2)), change(C1, "size", adult=3))
    before, after = tomllib.loads(text)["camera"], tomllib.loads(edited)["camera"]
    assert after[0] == {
        **before[0],
        "line": [{"id": "L1", "start": [1, 2]}],
        "size": {**before[0].get("size", {}), "adult": 3},
    }
    assert after[1:] == before[1:]
    assert "# kept" in edited


@pytest.mark.parametrize("text", ["broker = 3\n", "[[broker]]\n", "[[a]]\nb = 1\n# of c\n[c]\n# of a\n[[a]]\n"])
def test_what_cannot_be_followed_is_refused_rather_than_spoilt(text: str) -> None:
    with pytest.raises(LayoutError):
        edit(text, Change(("broker",), BROKER))


def test_what_is_not_there_or_no_toml_is_said() -> None:
    with pytest.raises(EditError, match="there is no camera 'C3' in it; there is: C1, C2"):
        edit(WRITTEN, change(("camera", "C3"), "size", adult=1))
    with pytest.raises(EditError, match="there is no camera 'C3' in it; there is: none"):
        edit("", change(("camera", "C3"), "size", adult=1))
    with pytest.raises(EditError, match=r"there is no \[x\] in it"):
        edit("", change("x", "y", z=1))
    with pytest.raises(EditError, match="it is not valid TOML: "):
        edit("[broker\n", Change(("broker",), BROKER))


def test_an_outcome_that_says_something_else_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.tomledit._written", lambda text, change: text + "[broker]\nhost = 'other'\n")
    with pytest.raises(LayoutError, match=r"^\[broker\] is written in a way that can't be followed$"):
        edit("", change("broker", host="x"))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_value_is_written_so_that_it_is_read_back(value: str) -> None:
    assert tomllib.loads(fragment("broker", {"host": value})) == {"broker": {"host": value}}
    assert tomllib.loads(edit("", change("broker", host=value))) == {"broker": {"host": value}}


LINES = ["", "# at the edge {}", "    # within {}", "other{} = 1  # of {}", "many{} = [\n  1, # of {}\n]"]
HEADERS = [
    "[broker]",
    "[broker.sub]",
    "[device]",
    "  [device.deep.er]",
    "[[camera]]\nid = 'C1'",
    "[[camera]]",
    "  [[camera.line]]",
    "  [[camera.line]]\n  id = 'L1'",
    "\t[camera.size]",
    "[camera.size.of]",
    "[more]\nid.of = 'x'",
]


@given(
    st.lists(
        st.tuples(st.sampled_from(HEADERS), st.lists(st.sampled_from(LINES), max_size=4)), max_size=7, unique_by=repr
    ),
    st.sampled_from(
        [
            Change(("broker",), BROKER),
            change("device", name="x", without=("deep",)),
            change(C1, ("line", "L1"), start=(0.5, 1.0)),
            change(C1, "size", adult=((0.5, 1.0), (0.5, 0.5))),
        ]
    ),
)
def test_whatever_is_there_stays_line_by_line_or_it_is_refused(
    sections: list[tuple[str, list[str]]], wanted: Change
) -> None:
    numbered = [
        line.format(f"{at}{place}", f"{at}{place}")
        for at, (header, lines) in enumerate(sections)
        for place, line in enumerate([header, *lines])
    ]
    text = "\n".join(numbered) + "\n"
    try:
        edited = edit(text, wanted)
    except EditError:
        return
    if wanted.without:
        return  # a table may go, and what is said in it
    left = iter(edited.splitlines())
    assert all(line in left for line in text.splitlines() if line.strip()), "each is found below the one before it"
