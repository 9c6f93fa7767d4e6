"""The second step of signing in: one-time codes, offered, confirmed, asked for and turned off; recovery codes.

A secret that was only offered asks for nothing yet: a person whose app did not read the picture must not lock
themselves out. It is in use once a code of it has been given.
"""

from dataclasses import dataclass
from datetime import datetime

from server.access import audit, checks, repository, session_repository, totp
from server.access.models import Scope, SignedIn, User
from server.access.sessions import Sessions
from server.errors import Conflict, Forbidden, InvalidInput, NotSignedIn
from server.storage.pool import Connection


@dataclass(frozen=True, slots=True)
class TotpOffer:
    """A secret to be read by an app.

    Attributes:
        address: ``otpauth://…``, for the picture.
        secret: the same to be typed.
    """

    address: str
    secret: str


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The session that goes on, and the recovery codes, which are shown this once."""

    session: SignedIn
    recovery_codes: list[str]


class SecondStep(Sessions):
    """One-time codes."""

    def offer_totp(self, session: SignedIn) -> TotpOffer:
        """A secret for the user of a session; the same again until it is confirmed.

        Raises:
            Conflict: one is in use already.
            Forbidden: for who signs in through the identity provider, which asks for a second step itself.
        """
        user = session.user
        if user.is_external:
            raise Forbidden("you sign in through your identity provider", remedy="set a second step up there")
        with self._db.transaction() as conn:
            row = repository.totp(conn, user.user_id)
            if row is not None and row.since is not None:
                raise Conflict("one-time codes are in use already", remedy="turn them off first")
            if row is not None:
                secret, _ = self._box.open(row.secret, user.user_id)
            else:
                secret = totp.new_secret()
                repository.set_totp(conn, user.user_id, self._box.seal(secret, user.user_id), None, 0)
        return TotpOffer(totp.address(secret, user.username), totp.readable(secret))

    def confirm_totp(
        self, session: SignedIn, code: str, address: str, agent: str = "", password: str = ""
    ) -> Confirmed:
        """Put the offered secret to use: every other session of the user ends, and this one gets another token.

        Args:
            password: the user's, where the session is open already: whoever finds one open must not be able to lock its
                owner out by a telephone of their own. On the way of signing in it was given just before.

        Raises:
            InvalidInput: the code or the password is wrong, or nothing was offered.
            TooManyRequests: too many wrong ones; this one was not looked at.
        """
        user, now = session.user, self._clock()
        kept = self._count_attempt(user.username, address, now)
        if session.stage == "open" and not self._passwords.check(password, kept.password_hash if kept else None)[0]:
            raise InvalidInput("the password is wrong", field="password", remedy="enter the one you sign in with")
        codes = totp.new_recovery_codes()
        with self._db.transaction() as conn:
            row = repository.totp(conn, user.user_id)
            if row is None or row.since is not None:
                raise InvalidInput("no one-time codes were offered", field="code", remedy="begin again")
            secret, _ = self._box.open(row.secret, user.user_id)
            step = totp.step_of(secret, code, now, row.step)
            if step is None:
                raise _wrong_code()
            repository.set_totp(conn, user.user_id, self._box.seal(secret, user.user_id), now, step)
            repository.replace_recovery_codes(conn, user.user_id, [totp.recovery_hash(each) for each in codes])
            session_repository.delete_of(conn, user.user_id, but=session.session_id)
            audit.record(conn, now, user.username, "totp.on", subject=user.username)
            fresh = self._advance(conn, session, address, agent, gave_code=True)
        return Confirmed(fresh, codes)

    def give_code(self, session: SignedIn, code: str, address: str, agent: str = "") -> SignedIn:
        """Go on from a session that asks for a one-time code; a recovery code will do, once.

        Raises:
            InvalidInput: the code is wrong, too old, or was used before.
            NotSignedIn: the session asks for none, or has ended.
            TooManyRequests: too many wrong ones; this one was not looked at.
        """
        if session.stage != "code":
            raise NotSignedIn("this session asks for no code", remedy="sign in again")
        user, now = session.user, self._clock()
        self._count_attempt(user.username, address, now)
        with self._db.transaction() as conn:
            taken = self._take(conn, user, code, now)
            if taken:
                return self._advance(conn, session, address, agent, gave_code=True)
            audit.record(conn, now, user.username, "totp.refused", subject=user.username, detail={"address": address})
        raise _wrong_code()

    def turn_off_totp(self, session: SignedIn, code: str, address: str) -> None:
        """Sign in without one-time codes from now on; a code or recovery code has to be given.

        Raises:
            Forbidden: the user's role has to have them.
            InvalidInput: the code is wrong.
            TooManyRequests: too many wrong ones; this one was not looked at.
        """
        user, now = session.user, self._clock()
        if self.needs_totp(user):
            raise Forbidden("your role has to sign in with a one-time code", remedy="ask an administrator to reset it")
        self._count_attempt(user.username, address, now)
        with self._db.transaction() as conn:
            if not self._take(conn, user, code, now):
                raise _wrong_code()
            repository.forget_failures(conn, user.username, address)
            self._forget_totp(conn, user, session.scope, now)

    def renew_recovery_codes(self, session: SignedIn, code: str, address: str) -> list[str]:
        """Other recovery codes in place of those before; a one-time code has to be given.

        Raises:
            InvalidInput: the code is wrong.
            TooManyRequests: too many wrong ones; this one was not looked at.
        """
        user, now = session.user, self._clock()
        self._count_attempt(user.username, address, now)
        codes = totp.new_recovery_codes()
        with self._db.transaction() as conn:
            if not self._take(conn, user, code, now):
                raise _wrong_code()
            repository.forget_failures(conn, user.username, address)
            repository.replace_recovery_codes(conn, user.user_id, [totp.recovery_hash(each) for each in codes])
            audit.record(conn, now, user.username, "totp.recovery_codes", subject=user.username)
        return codes

    def recovery_codes_left(self, session: SignedIn) -> int:
        """How many recovery codes the user of a session has not used."""
        with self._db.read() as conn:
            return repository.recovery_codes_left(conn, session.user.user_id)

    def reset_totp(self, scope: Scope, username: str) -> None:
        """Take a user's one-time codes away, whose telephone is lost; their sessions end. For administrators."""
        checks.require_administrator(scope)
        now = self._clock()
        with self._db.transaction() as conn:
            user = self._user_in(conn, username)
            session_repository.delete_of(conn, user.user_id)
            self._forget_totp(conn, user, scope, now)

    def reseal(self) -> int:
        """Encrypt under today's key what stands under an old one; how many did. For the clean-up job."""
        done = 0
        if not self._settings.old_secret_keys.get_secret_value():
            return done
        with self._db.transaction() as conn:
            for row in repository.totps(conn):
                secret, is_old = self._box.open(row.secret, row.user_id)
                if is_old:
                    sealed = self._box.seal(secret, row.user_id)
                    repository.set_totp(conn, row.user_id, sealed, row.since, row.step)
                    done += 1
        return done

    def _forget_totp(self, conn: Connection, user: User, scope: Scope, now: datetime) -> None:
        repository.set_totp(conn, user.user_id, None, None, 0)
        repository.replace_recovery_codes(conn, user.user_id, [])
        audit.record(conn, now, scope.actor, "totp.off", subject=user.username)

    def _take(self, conn: Connection, user: User, code: str, now: datetime) -> bool:
        """Whether a code is right, and not taken before; it is taken now."""
        row = repository.totp(conn, user.user_id)
        if row is None or row.since is None:
            return False
        secret, _ = self._box.open(row.secret, user.user_id)
        step = totp.step_of(secret, code, now, row.step)
        if step is not None:
            repository.set_totp(conn, user.user_id, self._box.seal(secret, user.user_id), row.since, step)
            return True
        if not repository.use_recovery_code(conn, user.user_id, totp.recovery_hash(code), now):
            return False
        left = repository.recovery_codes_left(conn, user.user_id)
        audit.record(conn, now, user.username, "totp.recovery", subject=user.username, detail={"left": left})
        return True


def _wrong_code() -> InvalidInput:
    return InvalidInput("this code is wrong or was used before", field="code", remedy="wait for the next code")
