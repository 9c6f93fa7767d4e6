"""`doorline demo`: the command itself. What it does is in the launcher; here is what can be asked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.demo.boxes import Video
    from cli.demo.home import Home


def demo(
    video: Annotated[
        Path | None,
        typer.Option(help="Count this film, again and again, at the first store instead of a rendered scene."),
    ] = None,
    video_line: Annotated[
        str,
        typer.Option(metavar="X1,Y1,X2,Y2", help="The film's counting line, in fractions of the frame."),
    ] = "0.02,0.6,0.98,0.6",
    video_inside: Annotated[
        str, typer.Option(metavar="X,Y", help="Any point on the inner side of the film's line.")
    ] = "0.5,0.9",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the pages and the API; 0 takes a free one.")
    ] = 8080,
    home: Annotated[Path, typer.Option(help="Folder for the demo's data and logs.")] = Path(".demo"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier run left, and begin anew.")] = False,
    forget: Annotated[bool, typer.Option("--forget", help="Remove the demo's data and start nothing.")] = False,
    days: Annotated[int, typer.Option(min=1, max=730, hidden=True, help="Days of history.")] = 90,
) -> None:
    """Run a whole chain on this machine: database, broker, server, pages and boxes that really count.

    Five stores with 90 days of made-up history, and live counts from two agents that watch rendered doors (or your
    film). Nothing is downloaded, and nothing outside the folder is touched. Ctrl-C stops every process it started; the
    next run goes on with the same data.

    Example: doorline demo --video door.mp4 --video-line 0.1,0.5,0.9,0.5 --video-inside 0.5,0.9 --port 9000
    """
    from rich.console import Console

    from cli.demo.home import DemoError, Home
    from cli.demo.launcher import Demo, Options
    from cli.main import fail
    from server.storage.embedded_errors import EmbeddedError

    _quiet()
    try:
        if forget:
            _forget(Home(home.absolute()))
            return
        film = None if video is None else _film(video, video_line, video_inside)
        Demo(Options(home.absolute(), port, days, fresh, film), Console()).run()
    except (DemoError, EmbeddedError) as error:
        remedy = getattr(error, "remedy", None)
        fail(f"{error}" + (f": {remedy}" if remedy else ""))


def _quiet() -> None:
    """Only warnings of the parts that run within this process; the others have logs of their own."""
    import logging

    from server import logs

    logs.configure(level=logging.WARNING)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)


def _forget(home: "Home") -> None:
    if not home.path.exists():
        typer.echo(f"There is no demo in {home.path}.")
        return
    with home:
        home.forget()
        (home.path / "lock").unlink()
    home.path.rmdir()
    typer.echo(f"Forgotten: {home.path}")


def _film(path: Path, line: str, inside: str) -> "Video":
    """The film, tried out now rather than in a log later."""
    from cli.demo.boxes import Video
    from cli.demo.chain import MANAGER_STORE, by_id
    from cli.demo.home import DemoError
    from edge.camera import CameraError, open_source
    from edge.models import Line

    try:
        open_source(str(path.absolute())).close()
    except CameraError as error:
        raise DemoError(str(error)) from error
    try:
        x1, y1, x2, y2 = (float(part) for part in line.split(","))
        x, y = (float(part) for part in inside.split(","))
    except ValueError as error:
        raise DemoError("--video-line takes X1,Y1,X2,Y2 and --video-inside X,Y, in fractions of the frame") from error
    return Video(path.absolute(), Line(by_id(MANAGER_STORE).line, (x1, y1), (x2, y2), (x, y), anchor="centre"))
