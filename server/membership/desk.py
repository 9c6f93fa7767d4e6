"""Everything about members that a server can do, put together: what `server.services` hands to routes and pages."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.clock import Clock, utc_now
from server.membership.care import CareService
from server.membership.changing import Changes
from server.membership.codes import OneTimeCodes
from server.membership.consents import Consents
from server.membership.crypto import MemberKeys
from server.membership.erasing import Erasures
from server.membership.exporting import Exports
from server.membership.form import EnrolForm
from server.membership.importing import MemberImport
from server.membership.links import CardLinks
from server.membership.merging import Merging
from server.membership.notes import NotesService
from server.membership.opening import GivesTier, OpeningBalances
from server.membership.opening_value import OpeningValue
from server.membership.reading import MemberReader
from server.membership.retention import MemberRetention
from server.membership.rights import RightsPart
from server.membership.rotation import KeyRotation
from server.membership.sending import CodeSender
from server.membership.service import MembershipService
from server.storage.pool import Database


@dataclass(frozen=True, slots=True)
class MemberDesk:
    """The services of membership, each about one thing."""

    membership: MembershipService
    codes: OneTimeCodes
    changes: Changes
    merging: Merging
    form: EnrolForm
    consents: Consents
    links: CardLinks
    care: CareService
    notes: NotesService
    exports: Exports
    erasures: Erasures
    retention: MemberRetention
    rotation: KeyRotation
    imports: MemberImport


def member_desk(
    db: Database,
    keys: MemberKeys,
    sender: CodeSender,
    parts: Sequence[RightsPart] = (),
    clock: Clock = utc_now,
    tiers: GivesTier | None = None,
) -> MemberDesk:
    """Put membership together.

    Args:
        sender: carries one-time codes.
        parts: of the packages that keep something of members, for export and erasure.
        tiers: where an import gives the tiers that members had; without it no file may have any.
    """
    reader = MemberReader(keys)
    codes = OneTimeCodes(db, keys, reader, sender, clock)
    erasures = Erasures(db, keys, reader, parts, clock)
    membership = MembershipService(db, keys, clock, codes)
    return MemberDesk(
        membership=membership,
        codes=codes,
        changes=Changes(db, keys, reader, codes, clock),
        merging=Merging(db, reader, clock),
        form=EnrolForm(db, clock),
        consents=Consents(db, reader, clock),
        links=CardLinks(db, reader, clock),
        care=CareService(db, reader, clock),
        notes=NotesService(db, keys, reader, clock),
        exports=Exports(db, keys, reader, parts, clock),
        erasures=erasures,
        retention=MemberRetention(db, erasures, codes, clock),
        rotation=KeyRotation(db, keys, clock),
        imports=MemberImport(db, membership, reader, OpeningBalances(db, tiers, clock), OpeningValue(db, clock), clock),
    )
