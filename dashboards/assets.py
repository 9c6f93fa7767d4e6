"""Styles, scripts and pictures, served from memory under a name that holds their content's hash.

A browser may keep such a file for a year, because a changed file has a changed name; nothing else may be kept at all.
Our own files share one hash, so that an ES module finds its neighbours by a relative path. The chart library comes out
of the plotly wheel, under a hash of its own. Only names of the list made at start are answered, so a path can't climb
out.
"""

import gzip
import hashlib
import importlib.util
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

from server.errors import NotFound

STATIC: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOREVER: Final = "public, max-age=31536000, immutable"
_SMALL: Final = 600


@dataclass(frozen=True)
class Asset:
    """One file: its bytes, and the same compressed, made when first asked for."""

    body: bytes
    content_type: str

    @cached_property
    def compressed(self) -> bytes:
        """The body in gzip; same bytes in every process."""
        return gzip.compress(self.body, compresslevel=6, mtime=0)


@dataclass
class Assets:
    """All files a page may ask for."""

    files: dict[str, Asset] = field(default_factory=dict)
    digest: str = ""
    plotly_path: str = ""
    #: Ids of style elements the chart library would add; a page that has them already keeps it from adding any.
    style_guards: tuple[str, ...] = ()

    @classmethod
    def load(cls) -> "Assets":
        """Read everything once.

        Raises:
            FileNotFoundError: when the plotly wheel carries no script.
        """
        own = {
            path.relative_to(STATIC).as_posix(): path.read_bytes()
            for path in sorted(STATIC.rglob("*"))
            if path.suffix in _TYPES
        }
        whole = hashlib.sha256()
        for name, body in own.items():
            whole.update(f"{name}\0{len(body)}\0".encode())
            whole.update(body)
        digest = whole.hexdigest()[:16]
        files = {f"{digest}/{name}": Asset(body, _TYPES[Path(name).suffix]) for name, body in own.items()}
        script = _plotly_script().read_bytes()
        plotly_path = f"{hashlib.sha256(script).hexdigest()[:16]}/plotly.min.js"
        files[plotly_path] = Asset(script, _TYPES[".js"])
        guards = re.findall(rb'getElementById\("([0-9a-f]{64})"\)', script)
        return cls(
            files=files,
            digest=digest,
            plotly_path=plotly_path,
            style_guards=("plotly.js-style-global", *sorted({guard.decode() for guard in guards})),
        )

    def url(self, name: str) -> str:
        """The address of one of our own files.

        Raises:
            KeyError: when there is none by that name, so that a slip in a template fails in the first test.
        """
        key = f"{self.digest}/{name}"
        if key not in self.files:
            raise KeyError(f"no asset {name!r} under {STATIC}")
        return f"/assets/{key}"

    def file(self, name: str) -> Asset:
        """One of our own files, for a route that must answer at an address of its own.

        Raises:
            KeyError: when there is none by that name.
        """
        return self.files[f"{self.digest}/{name}"]

    @property
    def plotly_url(self) -> str:
        """The address of the chart library."""
        return f"/assets/{self.plotly_path}"


def _plotly_script() -> Path:
    """Where the wheel keeps its script. Found without importing plotly, which would cost a process 40 MB."""
    spec = importlib.util.find_spec("plotly")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the plotly package is not installed; install doorline[server]")
    return Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"


def router(assets: Assets) -> APIRouter:
    """The one route that answers for files."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/assets/{path:path}")
    def asset(request: Request, path: str) -> Response:
        found = assets.files.get(path)
        if found is None:
            raise NotFound(f"no file {path!r} here; reload the page to get its newest files")
        headers = {"Cache-Control": _FOREVER, "Vary": "Accept-Encoding"}
        body = found.body
        if len(body) > _SMALL and "gzip" in request.headers.get("accept-encoding", ""):
            body = found.compressed
            headers["Content-Encoding"] = "gzip"
        return Response(body, media_type=found.content_type, headers=headers)

    return routes
