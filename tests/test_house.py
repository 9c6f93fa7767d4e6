"""The house stays in order: arrows point one way, a box needs no server, a server no camera, files stay readable."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("wire", "edge", "server", "dashboards", "cli")
#: What each package of ours may import of ours.
MAY_IMPORT = {
    "wire": {"wire"},
    "edge": {"wire", "edge"},
    "server": {"wire", "server"},
    "dashboards": {"wire", "server", "dashboards"},
    "cli": set(PACKAGES),
}
#: The server's packages from what all rest on to what rests on all: an arrow points to the left only.
SERVER_ORDER = (
    "files",
    "storage",
    "events",
    "access",
    "webhooks",
    "stores",
    "provisioning",
    "configs",
    "membership",
    "sales",
    "ingest",
    "requests",
    "kpi",
    "jobs",
    "setup",
)
#: The rooms of the KPIs likewise: what people say of a day, the day made of it, the figures over days, the answers.
KPI_ORDER = ("corrections", "days", "figures", "answers")
#: "A file is about one thing and stays under about 400 lines."
LONGEST = 440


def sources(package: str) -> Iterator[Path]:
    return (path for path in sorted((ROOT / package).rglob("*.py")) if "__pycache__" not in path.parts)


def imports(path: Path) -> set[str]:
    """Dotted names of what a file imports, lazily or not."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_arrows_between_packages_point_one_way(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(package)
        for name in imports(path)
        if name.partition(".")[0] in PACKAGES and name.partition(".")[0] not in MAY_IMPORT[package]
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("house", "order", "front"),
    [
        ("server", SERVER_ORDER, {"app", "services"}),
        ("server.kpi", KPI_ORDER, {"api", "service", "correction_api", "correction_service", "tables"}),
    ],
)
def test_arrows_between_rooms_point_one_way(house: str, order: tuple[str, ...], front: set[str]) -> None:
    wrong = []
    for place, room in enumerate(order):
        barred = {f"{house}.{above}" for above in {*order[place + 1 :], *front}}
        for path in sources(f"{house.replace('.', '/')}/{room}"):
            wrong += [
                f"{path.relative_to(ROOT)} imports {name}"
                for name in imports(path)
                if any(name == above or name.startswith(f"{above}.") for above in barred)
            ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("package", "barred"),
    [
        ("edge", {"fastapi", "psycopg", "pydantic", "structlog", "uvicorn", "server"}),
        ("server", {"cv2", "lap", "ultralytics", "edge"}),
        ("wire", {"cv2", "numpy", "fastapi", "psycopg", "edge", "server"}),
    ],
)
def test_importing_all_of_a_package_pulls_in_nothing_of_the_other_side(package: str, barred: set[str]) -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in sources(package)
    ]
    optional = {"edge.detectors.yolo"}  # imports ultralytics only when it is used, but is not bound to
    script = (
        "import importlib, sys\n"
        f"for name in {[name for name in modules if name not in optional]!r}: importlib.import_module(name)\n"
        f"print(sorted({barred!r} & {{name.partition('.')[0] for name in sys.modules}}))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "[]"


def test_no_file_grows_beyond_what_one_reads_at_a_sitting() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for package in PACKAGES
        for path in sources(package)
        if (lines := path.read_text(encoding="utf-8").count("\n")) > LONGEST
    }
    assert not long


def test_every_module_says_why_it_is_there() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in sources(package)
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent


@pytest.mark.parametrize("name", ["build", "edge", "server", "demo", "test"])
def test_every_requirement_is_pinned_with_hashes_and_names_no_index(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    pinned = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert len(pinned) > 6
    assert all(re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==\S+", line) for line in pinned)
    assert text.count("--hash=sha256:") >= len(pinned)
    assert not re.search(r"://|--index|--find-links|file:|^-e", text, re.MULTILINE)


def test_smaller_locks_agree_with_the_largest() -> None:
    def pins(name: str) -> set[str]:
        text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        return {line.rstrip(" \\") for line in text.splitlines() if "==" in line and not line.startswith((" ", "#"))}

    for name in ("build", "edge", "server", "demo"):
        assert pins(name) <= pins("test"), name


def test_the_readme_shows_four_pictures_and_each_is_small() -> None:
    """They come with every clone; `make screenshots` takes them."""
    shown = re.findall(r"!\[([^\]]+)\]\((docs/pictures/[\w.-]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert len(shown) == 4
    for words, name in shown:
        assert len(words) > 40, f"{name} says nothing to who can't see it"
        assert (ROOT / name).stat().st_size < 150_000, name
    assert {path.name for path in (ROOT / "docs" / "pictures").iterdir()} == {Path(name).name for _, name in shown}
