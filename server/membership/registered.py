"""Every package's part in a member's rights, in one list: what is not in it is neither exported nor erased."""

from server.membership.coupons.rights import CouponRights
from server.membership.offline.rights import OfflineRights
from server.membership.points.rights import PointsRights
from server.membership.rights import RightsPart
from server.membership.stored_value.rights import StoredValueRights
from server.membership.tiers.rights import TierRights
from server.membership.value.rights import ValueRights
from server.membership.visits.rights import VisitRights


def rights_parts() -> list[RightsPart]:
    """The parts, in the order in which an export shows them."""
    return [
        PointsRights(),
        CouponRights(),
        StoredValueRights(),
        TierRights(),
        VisitRights(),
        ValueRights(),
        OfflineRights(),
    ]
