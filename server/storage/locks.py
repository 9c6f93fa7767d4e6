"""Every advisory lock of the server, named in one place: two subjects sharing a number would wait for each other."""

from enum import IntEnum


class AdvisoryLock(IntEnum):
    """Numbers for PostgreSQL's advisory locks; never reuse one. The high half spells "door"."""

    MIGRATE = 0x646F6F72_00000001
    JOBS_LEADER = 0x646F6F72_00000002


class LockSpace(IntEnum):
    """First halves of PostgreSQL's two-part advisory locks; the second half is ``hashtext`` of a name."""

    SIGN_IN = 1
    RECEIPTS = 2
    EVENT_CONSUMER = 3
    MEMBER_CODES = 22
    VALUE_SETTLEMENT = 26
    COUPON_RECEIPT = 27
