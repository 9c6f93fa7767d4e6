"""What documents tell people to type exists: commands, options, settings, the edit of the broker's configuration."""

import re
import subprocess
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from cli.main import COMMANDS, _load, app
from server.settings import Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    ROOT / "README.md",
    *sorted((ROOT / "deploy").rglob("*.md")),
    *sorted((ROOT / "deploy").rglob("*.yaml")),
    *sorted((ROOT / "deploy").rglob("*.example")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


def typed(text: str) -> list[str]:
    """What is typed after `doorline`, or after the operator's service in compose."""
    quoted = re.findall(r"`doorline ([^`\n]+)`", text)
    shown = re.findall(r"^(?: {4}|\$ |# ? +)doorline ([^\n#]+)", text, re.MULTILINE)
    composed = re.findall(r"run --rm operator ([^\n#]+)", text)
    return [words.strip() for words in (*quoted, *shown, *composed)]


def unknown(words: str) -> str:
    """What of a command line there is not; empty where all of it is."""
    command = get_command(app)
    left = words.split()
    while left and isinstance(command, TyperGroup):
        name = left[0]
        if name.startswith("-"):
            break
        if command.name == "doorline" and name in COMMANDS:
            found = _load(name, COMMANDS[name])
        else:
            found = command.commands.get(name)
        if found is None:
            return "" if command.invoke_without_command or name.isupper() else f"no command {name!r}"
        command, left = found, left[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h"}
    given = [word.partition("=")[0] for word in left if word.startswith("--")]
    return ", ".join(f"no option {each}" for each in given if each not in known)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_a_document_is_one(path: Path) -> None:
    wrong = {words: unknown(words) for words in typed(path.read_text(encoding="utf-8"))}
    assert {words: why for words, why in wrong.items() if why} == {}


def test_commands_are_found_in_the_documents_that_tell_how() -> None:
    for name, least in (("README.md", 4), ("deploy/pki/README.md", 8), ("deploy/compose.yaml", 3)):
        assert len(typed((ROOT / name).read_text(encoding="utf-8"))) >= least, name
    assert unknown("device explode door-1") == "no command 'explode'"
    assert unknown("device revoke door-1 --gently") == "no option --gently"


def test_every_setting_in_deploys_documents_is_one() -> None:
    named = {
        name for path in DOCUMENTS for name in re.findall(r"\bDOORLINE_([A-Z_]+)\b", path.read_text(encoding="utf-8"))
    }
    # Of the tests, and what Grafana reads (deploy/grafana).
    others = {name for name in named if name == "TIMESCALE_DSN" or name.startswith("BI_")}
    assert {name.lower() for name in named - others} <= Settings.model_fields.keys()


def test_the_brokers_configuration_is_fit_for_a_machine_of_its_own_by_the_edit_that_is_told() -> None:
    readme = (ROOT / "deploy/mosquitto/README.md").read_text(encoding="utf-8")
    (told,) = re.findall(r'^ {4}sed "([^"]+)" mosquitto\.conf', readme, re.MULTILINE)
    text = (ROOT / "deploy/mosquitto/mosquitto.conf").read_text(encoding="utf-8")
    edit = told.replace("$PWD", "/srv")
    edited = subprocess.run(["sed", edit], input=text, capture_output=True, text=True, check=True).stdout
    set_to = dict(re.findall(r"^(\w*file) (.*)$", edited, re.MULTILINE))
    assert set_to == {
        "acl_file": "/etc/mosquitto/acl",
        "cafile": "/srv/pki/broker/ca.crt",
        "certfile": "/srv/pki/broker/broker.crt",
        "keyfile": "/srv/pki/broker/broker.key",
        "crlfile": "/srv/pki/broker/crl.pem",
    }
