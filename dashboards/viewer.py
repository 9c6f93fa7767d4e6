"""Who looks at a page, and the dependencies that pages ask for them by.

A page differs from an API route in what it does with a stranger: it sends them to the sign-in page and remembers where
they were going. A wrong role or a stranger's store is refused in plain words, never by an empty page.

Not every request means that somebody is there: pages ask by themselves how things stand. What no person asked for
leaves the session's idle time alone, or a page left open would never be signed out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote

from fastapi import Depends, Form, Request

from server.access.api import COOKIE, check_csrf
from server.access.models import Locale, Role, Scope, SignedIn

CHAIN_READERS: Final[tuple[Role, ...]] = ("admin", "hq", "region")
STORE_READERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager")
MEMBER_READERS: Final[tuple[Role, ...]] = ("admin", "hq", "region", "manager", "desk")
#: A page's script says with it that it looks again by itself, at an address that people open, too.
UNASKED_HEADER: Final = "Doorline-Unasked"
_Endpoint = TypeVar("_Endpoint", bound=Callable[..., Any])
_UNASKED: Final = "is_unasked"


class SignInNeeded(Exception):
    """Nobody is signed in; `address` is the sign-in page, knowing the way back."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.address = "/sign-in" if path == "/" else f"/sign-in?next={quote(path, safe='/')}"


@dataclass(frozen=True, slots=True)
class Viewer:
    """The person a page is made for."""

    session: SignedIn

    @property
    def scope(self) -> Scope:
        """What they may see."""
        return self.session.scope

    @property
    def locale(self) -> Locale:
        """Their language."""
        return self.session.user.locale

    @property
    def home(self) -> str:
        """The page their day begins on."""
        return home_of(self.session)


def home_of(session: SignedIn) -> str:
    """The page a role's day begins on."""
    user = session.user
    if user.role == "manager" and user.stores:
        return f"/stores/{quote(sorted(user.stores)[0], safe='')}"
    return "/desk" if user.role == "desk" else "/hq"


def local_path(path: str) -> str | None:
    """`path` when it leads to a page of ours, else None: a sign-in page must not forward to strangers."""
    outside = not path.startswith("/") or path.startswith(("//", "/\\")) or any(ord(c) < 32 for c in path)
    return None if outside else path


def unasked(endpoint: _Endpoint) -> _Endpoint:
    """Marks a route that only a page's script asks for, by itself: below the decorator that gives its address."""
    setattr(endpoint, _UNASKED, True)
    return endpoint


def _somebody_asks(request: Request) -> bool:
    """Whether a person is behind a request. Who says there is none can only make their own session shorter."""
    return UNASKED_HEADER not in request.headers and not hasattr(request.scope.get("endpoint"), _UNASKED)


def session_of(request: Request) -> SignedIn | None:
    """The open session a request comes with, if any; its idle time begins anew where a person asked."""
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    found: SignedIn | None = request.app.state.services.access.session(token, touch=_somebody_asks(request))
    return found


def maybe_viewer(request: Request) -> Viewer | None:
    """Whoever is signed in, if anybody is."""
    session = session_of(request)
    return Viewer(session) if session else None


def current_viewer(request: Request, viewer: Annotated[Viewer | None, Depends(maybe_viewer)]) -> Viewer:
    """Whoever is signed in.

    Raises:
        SignInNeeded: when nobody is.
    """
    if viewer is None:
        way_back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        raise SignInNeeded(way_back if request.method == "GET" else "/")
    return viewer


def viewer_with(*roles: Role) -> Callable[[Viewer], Viewer]:
    """A dependency: the viewer, when theirs is one of `roles`; without any, whoever is signed in.

    Raises:
        Forbidden: for any other role.
    """

    def checked(viewer: Annotated[Viewer, Depends(current_viewer)]) -> Viewer:
        if roles:
            viewer.scope.require_role(*roles)
        return viewer

    return checked


def posting(*roles: Role) -> Callable[[Viewer, str], Viewer]:
    """A dependency for a submitted form: the viewer, whose session's CSRF token came with it.

    Raises:
        Forbidden: for another role, or when the token is missing or wrong.
    """

    def checked(
        viewer: Annotated[Viewer, Depends(viewer_with(*roles))], csrf_token: Annotated[str, Form()] = ""
    ) -> Viewer:
        check_csrf(viewer.session, csrf_token)
        return viewer

    return checked
