"""Sign-in through the chain's identity provider: what leaves with a person, what must come back, and who they are here.

The provider says role and stores at every sign-in, and what it says replaces what stood here. The trap it avoids is the
taken-over account: a name is only a name, so whoever comes as `admin` from outside is not our `admin`; people are known
by issuer and subject, and a name that is taken here is refused.
"""

import hmac
from dataclasses import dataclass
from datetime import timedelta
from secrets import token_urlsafe
from typing import Final

from server.access import audit, checks, repository, session_repository
from server.access.base import hash_of
from server.access.models import SignedIn, User
from server.access.oidc import IdentityProvider, Person
from server.access.session_repository import Attempt
from server.access.sessions import Sessions
from server.clock import Clock, utc_now
from server.errors import Conflict, Forbidden, NotFound, NotSignedIn
from server.settings import Settings
from server.storage.pool import Connection, Database

#: Whoever left for the provider has so long to come back.
AWAY: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Departure:
    """Somebody on their way to the identity provider.

    Attributes:
        address: where to send them.
        browser: what their browser has to keep and bring back, so that nobody finishes another one's sign-in.
    """

    address: str
    browser: str


class External(Sessions):
    """Sign-in through an identity provider, where the settings name one."""

    def __init__(self, db: Database, settings: Settings, clock: Clock = utc_now) -> None:
        super().__init__(db, settings, clock)
        self._provider = IdentityProvider(settings, clock) if settings.oidc_issuer else None

    @property
    def external_name(self) -> str:
        """What the identity provider is called on the sign-in page; empty where there is none."""
        return self._settings.oidc_name if self._provider else ""

    def begin_external(self, way_back: str) -> Departure:
        """Send somebody to the identity provider.

        Args:
            way_back: the page they were going to.

        Raises:
            NotFound: there is none.
            Unavailable: it does not answer.
        """
        provider = self._required()
        state, browser, nonce, verifier = (token_urlsafe(48) for _ in range(4))
        address = provider.address(state, nonce, verifier)
        expires_at = self._clock() + AWAY
        with self._db.transaction() as conn:
            session_repository.purge_attempts(conn, self._clock())
            attempt = Attempt(hash_of(browser), nonce, verifier, way_back, expires_at)
            session_repository.insert_attempt(conn, hash_of(state), attempt)
        return Departure(address, browser)

    def finish_external(
        self, state: str, browser: str, code: str, address: str, agent: str = "", previous_token: str | None = None
    ) -> tuple[SignedIn, str]:
        """Open a session for who came back, and say where they were going.

        Args:
            browser: what this browser kept (`Departure.browser`).

        Raises:
            NotSignedIn: this browser did not leave with that state, or the provider proves nothing.
            Forbidden: none of their groups has a role here, their stores are unknown, or they were disabled.
            Conflict: their name is somebody else's here.
        """
        provider = self._required()
        now = self._clock()
        with self._db.transaction() as conn:
            attempt = session_repository.take_attempt(conn, hash_of(state))
        if (
            attempt is None
            or not hmac.compare_digest(attempt.browser_hash, hash_of(browser))
            or now >= attempt.expires_at
        ):
            raise NotSignedIn("this sign-in began elsewhere or too long ago", remedy="sign in again")
        person = provider.person(code, attempt.nonce, attempt.verifier)
        with self._db.transaction() as conn:
            if previous_token:
                session_repository.delete(conn, hash_of(previous_token))
            user = self._known(conn, person)
            return self._open(conn, user, address, agent, now, gave_code=True), attempt.way_back

    def _known(self, conn: Connection, person: Person) -> User:
        unknown = set(repository.unknown_stores(conn, person.stores))
        stores = [store for store in person.stores if store not in unknown]
        if person.stores and not stores:
            raise Forbidden("none of your stores is known here", remedy="ask your administrator")
        user = repository.lock_external(conn, person.identity)
        checks.check_user(user.username if user else person.username, person.role, "zh", stores)
        if user is None:
            checks.check_new_name(person.username)
            return self._welcome(conn, person, stores)
        if user.disabled_at is not None:
            raise Forbidden("this user was disabled here", remedy="ask your administrator")
        if (user.role, user.stores, user.display_name) != (person.role, stores, person.display_name or user.username):
            self._follow(conn, user, person, stores)
        found = repository.user_by_id(conn, user.user_id)
        return found or user

    def _welcome(self, conn: Connection, person: Person, stores: list[str]) -> User:
        name = person.display_name or person.username
        user_id = repository.insert_external(conn, person.identity, person.username, name, person.role, "zh")
        if user_id is None:
            raise Conflict(
                f"there is a user {person.username!r} here already, who signs in by password",
                field="username",
                remedy="ask your administrator to disable or rename one of the two",
            )
        repository.add_user_stores(conn, user_id, stores)
        detail: dict[str, object] = {"role": person.role, "stores": stores, "by": "identity provider"}
        audit.record(conn, self._clock(), person.username, "user.create", subject=person.username, detail=detail)
        user = repository.user_by_id(conn, user_id)
        assert user is not None, "written above in the same transaction"  # noqa: S101
        return user

    def _follow(self, conn: Connection, user: User, person: Person, stores: list[str]) -> None:
        """Bring a user to what the provider says now; sessions made under other rights end."""
        repository.change_user(conn, user.user_id, person.display_name or user.username, person.role, user.locale)
        if (user.role, user.stores) == (person.role, stores):
            return
        repository.remove_user_stores(conn, user.user_id)
        repository.add_user_stores(conn, user.user_id, stores)
        session_repository.delete_of(conn, user.user_id)
        detail: dict[str, object] = {
            "was": {"role": user.role, "stores": user.stores},
            "is": {"role": person.role, "stores": stores},
            "by": "identity provider",
        }
        audit.record(conn, self._clock(), user.username, "user.change", subject=user.username, detail=detail)

    def _required(self) -> IdentityProvider:
        if self._provider is None:
            raise NotFound("there is no identity provider here", remedy="sign in with a user name and a password")
        return self._provider
