"""Areas of the trail's page: what is done by a name nobody put there would be found by nobody."""

import ast
import re
from pathlib import Path

import server
from dashboards.admin.audit_page import AREAS

#: What an entry of the trail is written by, and how what was done is spelled.
_WRITERS = {"record", "_audit", "_insert", "_note", "_record"}
_ACTION = re.compile(r"[a-z_]+\.[a-z_]*$")


def test_whatever_is_written_into_the_trail_stands_in_an_area_of_its_page() -> None:
    words = {word for area, _ in AREAS for word in area.split(",")}
    written: set[str] = set()
    for path in sorted(Path(server.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in _WRITERS:
                said = [
                    each.value for given in node.args[1:6] for each in ast.walk(given) if isinstance(each, ast.Constant)
                ]
                written |= {word.partition(".")[0] for word in said if isinstance(word, str) and _ACTION.match(word)}
    assert {"api_key", "dead_letter", "receipts", "totp", "webhook"} <= written, "what was not found once is looked at"
    assert written <= words
