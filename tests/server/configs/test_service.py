"""What boxes are to do: revisions, who may set them, what boxes say of them; and the commands for all of it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from server.access.models import Scope
from server.configs.service import ConfigService
from server.errors import Conflict, Forbidden, InvalidInput, NotFound
from server.ingest.service import IngestService
from server.storage.pool import Database
from tests.server.configs.test_checking import GOOD
from tests.server.ingest.devices import NOW, add_stores, rows
from wire.config import ConfigReport
from wire.messages import Status, encode

ADMIN = Scope.system("cli:wei")
OTHER = GOOD.replace("target_fps = 12", "target_fps = 15")


@pytest.fixture
def configs(db: Database) -> ConfigService:
    add_stores(db)
    return ConfigService(db)


def says(db: Database, revision: int, state: str, *, used: int = 0, reason: str = "", device: str = "door-1") -> None:
    """A box's status arrives."""
    report = ConfigReport(revision=revision, state=state, reason=reason, at=NOW)  # type: ignore[arg-type]
    status = Status(device=device, online=True, at=NOW, config_revision=used, config=report)
    IngestService(db).note_status(device, encode(status), NOW)


def test_revisions_rise_and_say_who_and_why(configs: ConfigService, db: Database) -> None:
    assert configs.revision(ADMIN, "door-1") is None
    first = configs.put(ADMIN, "door-1", GOOD, "the new door")
    second = configs.put(ADMIN, "door-1", OTHER)
    cleared = configs.clear(ADMIN, "door-1")
    assert [each.revision for each in (first, second, cleared)] == [1, 2, 3]
    found = configs.history(ADMIN, "door-1")
    assert [(each.revision, each.author, each.note, len(each.camera)) for each in found] == [
        (3, "cli:wei", "", 0),
        (2, "cli:wei", "", 1),
        (1, "cli:wei", "the new door", 1),
    ]
    assert configs.revision(ADMIN, "door-1", 1) == found[2]
    assert [row[0] for row in rows(db, "SELECT detail->>'revision' FROM audit ORDER BY 1")] == ["1", "2", "3"]


def test_the_same_again_is_no_revision_unless_the_box_failed_with_it(configs: ConfigService, db: Database) -> None:
    with pytest.raises(Conflict, match=r"own edge\.toml"):
        configs.clear(ADMIN, "door-1")
    configs.put(ADMIN, "door-1", GOOD)
    with pytest.raises(Conflict, match="just that already"):
        configs.put(ADMIN, "door-1", GOOD)
    says(db, 1, "failed", reason="no such model")
    assert configs.put(ADMIN, "door-1", GOOD).revision == 2


@pytest.mark.parametrize("role", ["hq", "region", "manager", "desk"])
def test_only_an_admin_sets_or_sees_it(configs: ConfigService, role: str) -> None:
    scope = Scope("u", role, frozenset({"S01"}))  # type: ignore[arg-type]
    for call in (
        lambda: configs.put(scope, "door-1", GOOD),
        lambda: configs.clear(scope, "door-1"),
        lambda: configs.check(scope, "door-1", GOOD),
        lambda: configs.history(scope, "door-1"),
        lambda: configs.revision(scope, "door-1"),
    ):
        with pytest.raises(Forbidden):
            call()


def test_what_can_not_be_set_leaves_nothing(configs: ConfigService, db: Database) -> None:
    with db.transaction() as conn:
        conn.execute("UPDATE device SET revoked_at = now() WHERE device_id = 'door-2'")
    abroad = Scope("u", "admin", frozenset({"S02"}))
    for scope, device, text, kind in (
        (ADMIN, "door-9", GOOD, NotFound),
        (ADMIN, "door-2", GOOD, NotFound),
        (ADMIN, "door-3", GOOD, InvalidInput),  # stands in another store
        (abroad, "door-1", GOOD, NotFound),
        (ADMIN, "door-1", "nonsense = 1", InvalidInput),
    ):
        with pytest.raises(kind):
            configs.put(scope, device, text)
    with pytest.raises(InvalidInput, match="one line"):
        configs.put(ADMIN, "door-1", GOOD, "two\nlines")
    with pytest.raises(NotFound, match="never had a revision 7"):
        configs.revision(ADMIN, "door-1", 7)
    assert rows(db, "SELECT FROM device_config") == []


def test_what_a_box_says_is_kept_beside_the_revision(configs: ConfigService, db: Database) -> None:
    configs.put(ADMIN, "door-1", GOOD)
    assert configs.standings(ADMIN)["door-1"].state is None
    says(db, 1, "trying", reason="waiting for camera S01-C1")
    says(db, 1, "applied", used=1)
    configs.put(ADMIN, "door-1", OTHER)
    says(db, 2, "failed", used=1, reason="S01-C1: no\x00 model")
    second, first = configs.history(ADMIN, "door-1")
    assert (second.state, first.state, first.reason) == ("failed", "applied", "")
    assert second.reason.startswith("S01-C1: no")
    assert "\x00" not in second.reason
    standing = configs.standings(ADMIN, ["door-1"])["door-1"]
    assert (standing.desired, standing.used, standing.known, standing.state) == (2, 1, 2, "failed")
    # A last will was written before any of it, and knows nothing.
    IngestService(db).note_status("door-1", encode(Status(device="door-1", online=False)), NOW)
    assert configs.standings(ADMIN, ["door-1"])["door-1"] == standing


def test_a_number_the_box_knows_is_not_given_to_something_else(configs: ConfigService, db: Database) -> None:
    """The database came back from a backup of before revision 7."""
    configs.put(ADMIN, "door-1", GOOD)
    says(db, 7, "applied", used=7)
    assert configs.put(ADMIN, "door-1", OTHER).revision == 8
    says(db, 2**31 - 1, "applied", used=2**31 - 1)
    with pytest.raises(Conflict, match="none above it"):
        configs.put(ADMIN, "door-1", GOOD)


def test_a_box_is_given_what_is_newer_than_what_it_knows(configs: ConfigService) -> None:
    assert configs.newer("door-1", 0) is None
    configs.put(ADMIN, "door-1", GOOD)
    configs.put(ADMIN, "door-1", OTHER)
    found = configs.newer("door-1", 1)
    assert found is not None
    assert (found.device, found.revision, found.camera[0].target_fps) == ("door-1", 2, 15)
    assert configs.newer("door-1", 2) is None
    assert configs.newer("door-2", 0) is None
    assert [each.revision for each in configs.unsaid({})] == [2]
    assert configs.unsaid({"door-1": 2}) == []


# -- the commands


@pytest.fixture
def shell(db_dsn: str, configs: ConfigService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Shell":
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.toml").write_text(GOOD)
    (tmp_path / "other.toml").write_text(OTHER)
    (tmp_path / "bad.toml").write_text(GOOD.replace("mounting", "mountign"))
    return Shell({"DOORLINE_DSN": db_dsn, "COLUMNS": "250", "TERM": "dumb", "DOORLINE_PKI_DIR": str(tmp_path / "pki")})


class Shell:
    """`doorline device …` as a person types it."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env

    def __call__(self, *words: str, status: int = 0) -> Result:
        result = CliRunner().invoke(app, ["device", *words], env=self.env)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result


def test_set_show_edit_and_set_again(shell: Shell, tmp_path: Path) -> None:
    assert "goes by its own edge.toml" in shell("config", "show", "door-1").stderr
    assert "Revision 1 of door-1: S01-C1" in shell("config", "set", "door-1", "good.toml", "--note", "opening").stdout
    shown = shell("config", "show", "door-1")
    assert "revision 1" in shown.stderr
    assert "the box said nothing of it yet" in shown.stderr
    (tmp_path / "shown.toml").write_text(shown.stdout)
    assert "just that already" in shell("config", "set", "door-1", "shown.toml", status=2).stderr
    changed = shell("config", "diff", "door-1", "other.toml", status=1).stdout
    assert "-target_fps = 12" in changed
    assert "+target_fps = 15" in changed
    shell("config", "diff", "door-1", "shown.toml")
    assert "could be set: S01-C1" in shell("config", "set", "door-1", "other.toml", "--dry-run").stdout
    shell("config", "set", "door-1", "other.toml")
    assert "+target_fps = 15" in shell("config", "diff", "door-1", status=1).stdout
    assert "its own edge.toml" in shell("config", "clear", "door-1").stdout
    listed = shell("config", "history", "door-1").stdout
    assert "opening" in listed
    assert "(its own file)" in listed
    assert shell("config", "show", "door-1", "--revision", "1").stdout == shown.stdout


def test_what_a_person_gets_wrong_is_said_and_sets_nothing(shell: Shell) -> None:
    for words, said in (
        (("config", "set", "door-1", "bad.toml"), "did you mean 'mounting'?"),
        (("config", "set", "door-1", "nowhere.toml"), "nowhere.toml can't be read"),
        (("config", "set", "door-9", "good.toml"), "no live device 'door-9'"),
        (("config", "set", "door-3", "good.toml"), "store S02 has no camera 'S01-C1'"),
        (("config", "diff", "door-1"), "nothing was set for door-1"),
        (("config", "show", "door-9"), "no device 'door-9'"),
    ):
        assert said in shell(*words, status=2).stderr, words
    assert "Nothing was set" in shell("config", "history", "door-1").stdout


def test_the_list_of_boxes_says_how_each_stands(shell: Shell, db: Database) -> None:
    shell("config", "set", "door-1", "good.toml")
    assert "1 not taken yet; its own edge.toml in use" in shell("list").stdout
    says(db, 1, "applied", used=1)
    assert "1 applied" in shell("list").stdout
    shell("config", "set", "door-1", "other.toml")
    says(db, 2, "failed", used=1, reason="S01-C1: no model")
    assert "2 FAILED (S01-C1: no model); revision 1 in use" in shell("list").stdout
    shown = shell("config", "show", "door-1").stderr
    assert "FAILED" in shown
    assert "In use: revision 1." in shown
    says(db, 9, "applied", used=9)
    assert "9 in use, unknown here" in shell("list").stdout
    with db.transaction() as conn:
        conn.execute("INSERT INTO store_calendar (store_id, valid_from, timezone) VALUES ('S02', %s, 'UTC')", (NOW,))
    moved = shell("move", "door-1", "--store", "S02").stdout
    assert "still to count S01's S01-C1" in moved
