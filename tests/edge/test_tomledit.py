"""A few keys change, and everything a person wrote beside them stays."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.tomledit import EditError, fragment, set_keys

WRITTEN = """\
# The door to the street; the ladder is in the cellar.
[device]
name = "door-9"   # ask Li

[broker]
host = "old.example.com"
password_file = "door-9.password"
keepalive_s = 30

[[camera]]
id = "S01-C1"   # "[broker]" in a comment is none
"""


def test_keys_are_changed_added_and_taken_away_and_the_rest_stays() -> None:
    edited = set_keys(WRITTEN, "broker", {"host": "new.example.com", "port": 8883}, ["password_file"])
    assert edited == WRITTEN.replace('"old.example.com"', '"new.example.com"').replace(
        'password_file = "door-9.password"\nkeepalive_s = 30', "keepalive_s = 30\nport = 8883"
    )


def test_doing_it_again_changes_nothing() -> None:
    once = set_keys(WRITTEN, "broker", {"host": "x", "port": 1}, ["password_file"])
    assert set_keys(once, "broker", {"host": "x", "port": 1}, ["password_file"]) == once


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "[device]\nname = 'x'", "[[camera]]\nid = 'x'\n"])
def test_a_table_that_is_missing_is_added(text: str) -> None:
    edited = set_keys(text, "broker", {"host": "x"})
    assert tomllib.loads(edited) == {**tomllib.loads(text), "broker": {"host": "x"}}
    assert edited.startswith(text.rstrip("\n"))


@pytest.mark.parametrize(
    "text",
    [
        'broker = { host = "x" }\n',
        'broker.host = "x"\n',
        '[broker]\n"host" = "x"\n',
        '[broker]\nnote = """\nhost = "y"\n"""\nhost = "x"\n',
        '["broker"]\nhost = "x"\n',
        "broker = 3\n",
        "[broker\n",
    ],
)
def test_what_is_written_in_another_way_is_refused_rather_than_spoilt(text: str) -> None:
    with pytest.raises(EditError):
        set_keys(text, "broker", {"host": "new", "port": 1})


def test_a_text_over_several_lines_is_kept_when_it_is_not_ours() -> None:
    text = '[broker]\nnote = """\n[x]\n"""\nhost = "x"\n'
    try:
        edited = set_keys(text, "broker", {"host": "new"})
    except EditError:
        return
    assert tomllib.loads(edited)["broker"] == {"note": "[x]\n", "host": "new"}


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_any_value_is_written_so_that_it_is_read_back(value: str) -> None:
    try:
        written = fragment("broker", {"host": value})
        assert tomllib.loads(written) == {"broker": {"host": value}}
    except tomllib.TOMLDecodeError:
        assert "\x7f" in value, "JSON leaves DEL as it is, and TOML does not take it: refused by the check of set_keys"
        with pytest.raises(EditError):
            set_keys("", "broker", {"host": value})
