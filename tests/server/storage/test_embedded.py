"""The embedded database: made, found again, killed in every way, and clear about what is wrong."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from server.storage import embedded_place, embedded_process
from server.storage.embedded import FAST, EmbeddedPostgres
from server.storage.embedded_errors import EmbeddedError
from tests.fixtures.wait import wait_until

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One that has run before and remembers `one`; stopped. For tests that leave it as it was."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("used") / "postgres", settings=FAST)
    with server:
        remember(server, "one")
    yield server
    server.remove()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """Not yet started. As root its directory is out of the ordinary user's reach, as pytest makes it (mode 0700)."""
    server = EmbeddedPostgres(tmp_path / "postgres", settings=FAST)
    yield server
    server.remove()


def remember(server: EmbeddedPostgres, what: str) -> None:
    with psycopg.connect(server.dsn) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS memory (what text)")
        connection.execute("INSERT INTO memory VALUES (%s)", (what,))


def remembered(server: EmbeddedPostgres) -> list[str]:
    with psycopg.connect(server.dsn) as connection:
        return [row[0] for row in connection.execute("SELECT what FROM memory ORDER BY 1")]


def cluster_of(server: EmbeddedPostgres) -> Path:
    place = embedded_place.recorded(server.data_dir)
    assert place is not None
    return place.cluster


def test_it_keeps_data_port_and_password(used: EmbeddedPostgres) -> None:
    with used:
        dsn = used.dsn
    with used:
        assert used.dsn == dsn
        assert "one" in remembered(used)


def test_it_listens_on_the_loopback_and_asks_for_the_password(used: EmbeddedPostgres) -> None:
    with used:
        with psycopg.connect(used.dsn) as connection:
            row = connection.execute(
                "SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories'),"
                " current_setting('server_encoding'), lower('ÄÉ')"
            ).fetchone()
        assert row == ("127.0.0.1", "", "UTF8", "äé")
        wrong = used.dsn.replace(used.dsn.split(":")[2].split("@")[0], "wrong")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(wrong)


def test_killing_the_database_loses_no_commit(used: EmbeddedPostgres) -> None:
    with used:
        remember(used, "two")
        assert used.pid is not None
        os.kill(used.pid, signal.SIGKILL)
    with used:
        assert remembered(used) == ["one", "two"]


def test_killing_the_parent_stops_the_database_and_blocks_nobody(used: EmbeddedPostgres) -> None:
    code = (
        "import sys, time; from server.storage.embedded import FAST, EmbeddedPostgres;"
        "print(EmbeddedPostgres(sys.argv[1], settings=FAST).start().pid, flush=True); time.sleep(600)"
    )
    root = str(Path(__file__).resolve().parents[3])
    with subprocess.Popen(
        [sys.executable, "-c", code, str(used.data_dir)],
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        # Its log may come first.
        line = next(line for line in parent.stdout if line.strip().isdigit())
        parent.kill()
    wait_until(lambda: not Path(f"/proc/{line.strip()}").exists(), 20, "the orphan to end")
    with used:
        assert "one" in remembered(used)


def test_an_orphan_is_found_and_stopped(used: EmbeddedPostgres, tmp_path: Path) -> None:
    place = embedded_place.choose(used.data_dir)
    settings = {**FAST, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(used.port)}
    orphan = embedded_process.Server(place, settings, tmp_path / "orphan.log")
    orphan.wait_until_ready(used.port, 30)
    with used:
        assert "one" in remembered(used)
        assert used.pid != orphan.pid
    orphan.stop()


# Ids of their own: a name with this process's number in it would be another test in each worker.
@pytest.mark.parametrize(
    "left_behind",
    ["", "\0\0\0", "garbage\n", f"{os.getpid()}\n/somewhere\n", "999999999\n"],
    ids=["empty", "zeros", "garbage", "of another process", "of nobody"],
)
def test_a_stale_pid_file_is_no_obstacle(used: EmbeddedPostgres, left_behind: str) -> None:
    (cluster_of(used) / "postmaster.pid").write_text(left_behind)
    with used:
        assert "one" in remembered(used)


def test_a_second_one_on_the_same_directory_is_refused(used: EmbeddedPostgres) -> None:
    with used, pytest.raises(EmbeddedError, match="already running") as refused:
        EmbeddedPostgres(used.data_dir).start()
    assert str(os.getpid()) in refused.value.message


def test_a_port_in_use_is_said(used: EmbeddedPostgres) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EmbeddedError, match=f"port {port}"):
            EmbeddedPostgres(used.data_dir, port=port, settings=FAST).start()
        # And nothing was left that keeps a next start from working.
        used.start()
        assert used.port != port


def test_a_kept_port_that_was_taken_meanwhile_is_replaced(used: EmbeddedPostgres) -> None:
    with used:
        port = used.port
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with used:
            assert used.port != port


def test_no_permission_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EmbeddedError, match="file"):
        EmbeddedPostgres(tmp_path / "file" / "postgres").start()
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(EmbeddedError, match="permission"):
            EmbeddedPostgres(tmp_path / "locked" / "postgres").start()


def test_no_space_is_said(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.storage.embedded._LEAST_FREE", 1 << 62)
    with pytest.raises(EmbeddedError, match="MB are free"):
        server.start()


def test_what_postgres_itself_complains_of_is_passed_on(used: EmbeddedPostgres) -> None:
    with pytest.raises(EmbeddedError, match="no_such_setting"):
        EmbeddedPostgres(used.data_dir, settings={"no_such_setting": "1"}).start()


def test_removing_forgets_everything(server: EmbeddedPostgres) -> None:
    with server:
        remember(server, "gone")
    cluster = cluster_of(server)
    server.remove()
    assert not server.data_dir.exists()
    assert not cluster.exists()
    with server, psycopg.connect(server.dsn) as connection:
        assert connection.execute("SELECT to_regclass('memory')").fetchone() == (None,)


@as_root
class TestAsRoot:
    """PostgreSQL does not run as root, so somebody else must run it, wherever we are."""

    def test_the_server_is_run_by_an_ordinary_user(self, server: EmbeddedPostgres) -> None:
        with server:
            assert Path(f"/proc/{server.pid}").stat().st_uid != 0

    def test_a_directory_out_of_reach_keeps_a_note_of_the_place(self, server: EmbeddedPostgres) -> None:
        with server:
            assert not (server.data_dir / "cluster").exists()
            assert (server.data_dir / "elsewhere.json").exists()
            assert (cluster_of(server).parent / "belongs-to").read_text().strip() == str(server.data_dir)

    def test_binaries_out_of_reach_are_copied(
        self, server: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wheel = embedded_place._wheel()
        (tmp_path / wheel.name).symlink_to(wheel)
        (tmp_path / f"{wheel.name}.libs").symlink_to(wheel.with_name(f"{wheel.name}.libs"))
        monkeypatch.setattr(embedded_place, "_wheel", lambda: tmp_path / wheel.name)
        with server:
            remember(server, "here")
            place = embedded_place.choose(server.data_dir)
            assert place.elsewhere is not None
            assert place.binaries.is_relative_to(place.elsewhere)

    def test_a_directory_within_reach_holds_the_cluster(self, own_postgres: EmbeddedPostgres) -> None:
        assert (own_postgres.data_dir / "cluster" / "PG_VERSION").exists()

    def test_a_directory_removed_by_hand_has_forgotten_its_data(self, server: EmbeddedPostgres) -> None:
        with server:
            remember(server, "gone")
        for path in server.data_dir.iterdir():
            path.unlink()
        server.data_dir.rmdir()
        with server, psycopg.connect(server.dsn) as connection:
            assert connection.execute("SELECT to_regclass('memory')").fetchone() == (None,)

    def test_a_moved_directory_is_not_mistaken_for_its_own(self, server: EmbeddedPostgres, tmp_path: Path) -> None:
        with server:
            remember(server, "kept")
        moved = server.data_dir.rename(tmp_path / "moved")
        with pytest.raises(EmbeddedError, match="does not name the database of this directory"):
            EmbeddedPostgres(moved).start()
        moved.rename(server.data_dir)
        with server:
            assert remembered(server) == ["kept"]
