"""Everything the server can do, put together once per process.

Whatever can be known to be wrong before the first request (a missing secret key, a bad setting) is found here, so that
a process that starts is a process that works. The database may still be down: its pool opens in the background.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from server.access.service import AccessService
from server.clock import Clock, utc_now
from server.configs.service import ConfigService
from server.ingest.ledger import GapLedger
from server.ingest.service import IngestService
from server.jobs.service import JobsService
from server.kpi.correction_service import CorrectionsService
from server.kpi.service import KpiService
from server.kpi.setting_list import SettingList
from server.kpi.tables import TableImport
from server.kpi.views import SavedViews
from server.membership.coupons.definitions import CouponDefinitions
from server.membership.coupons.groups import CouponGroups
from server.membership.coupons.service import CouponsService
from server.membership.coupons.taking_back import CouponRedemptions
from server.membership.crypto import MemberKeys, derived_keys
from server.membership.desk import MemberDesk, member_desk
from server.membership.imports.service import MemberImports
from server.membership.offline.envelopes import EnvelopeKeys
from server.membership.offline.service import OfflineDesk
from server.membership.points.adjustments import Adjustments
from server.membership.points.reports import PointsReports
from server.membership.points.service import PointsService
from server.membership.registered import rights_parts
from server.membership.sending import sender_of
from server.membership.service import MembershipService
from server.membership.stored_value.cards import ValueCards
from server.membership.stored_value.rules import ValueRules
from server.membership.stored_value.service import StoredValueService
from server.membership.stored_value.settlement import Settlement
from server.membership.tiers.service import TiersService
from server.membership.tiers.simulation import TierSimulations
from server.membership.value.service import ValueService
from server.membership.visits.service import VisitsService
from server.membership.visits.shares import MemberShares
from server.mqtt import BrokerAddress
from server.provisioning.issuing import Issuing
from server.provisioning.service import ProvisioningService
from server.requests.exchange import Exchange
from server.requests.service import RequestService
from server.sales.conflicts import ConflictService
from server.sales.importing import ImportService
from server.sales.rates import RatesService
from server.sales.service import SalesService
from server.sales.till_formats import FormatService
from server.settings import Settings
from server.setup.service import SetupService
from server.storage.moment import still
from server.storage.pool import Database, Readable, Replica
from server.storage.sealing import Sealer
from server.stores.changing import StoreChanges
from server.stores.facts import FactsService
from server.stores.labels import LabelsService
from server.stores.opening import OpeningService
from server.stores.service import StoresService
from server.stores.spreadsheet import StoreSheets
from server.webhooks.addresses import networks_of
from server.webhooks.sending import Sender
from server.webhooks.service import WebhookService


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one process. Close it, or use it as a context manager, to give the connections back.

    Attributes:
        reading: where reports are read: the read replica where there is one, `db` otherwise.
    """

    settings: Settings
    clock: Clock
    db: Database
    reading: Readable
    access: AccessService
    stores: StoresService
    store_changes: StoreChanges
    store_sheets: StoreSheets
    provisioning: ProvisioningService
    issuing: Issuing
    facts: FactsService
    views: SavedViews
    labels: LabelsService
    opening: OpeningService
    configs: ConfigService
    ingest: IngestService
    gaps: GapLedger
    sales: SalesService
    imports: ImportService
    member_imports: MemberImports
    conflicts: ConflictService
    formats: FormatService
    rates: RatesService
    webhooks: WebhookService
    membership: MembershipService
    stored_value: StoredValueService
    value_cards: ValueCards
    value_rules: ValueRules
    settlement: Settlement
    coupons: CouponsService
    coupon_definitions: CouponDefinitions
    coupon_groups: CouponGroups
    coupon_redemptions: CouponRedemptions
    members: MemberDesk
    visits: VisitsService
    member_shares: MemberShares
    points: PointsService
    adjustments: Adjustments
    points_reports: PointsReports
    tiers: TiersService
    tier_simulations: TierSimulations
    offline_desk: OfflineDesk
    value: ValueService
    kpi: KpiService
    setting_list: SettingList
    corrections: CorrectionsService
    tables: TableImport
    jobs: JobsService
    requests: RequestService
    setup: SetupService

    def close(self) -> None:
        """Wait for no box any more, stop what is brought in, and give the database connections back."""
        self.requests.close()
        self.imports.close()
        self.member_imports.close()
        if isinstance(self.reading, Replica):
            self.reading.close()
        self.db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def make_services(settings: Settings, clock: Clock = utc_now) -> Services:
    """Put the services together.

    Raises:
        InvalidInput: the secret key is missing or short; the remedy says how to make one.
    """
    clock = still(clock)
    keys = MemberKeys.from_base64(settings.secret_key.get_secret_value(), settings.old_secret_keys.get_secret_value())
    db = Database(settings.dsn.get_secret_value(), settings.pool_size)
    read_dsn = settings.read_dsn.get_secret_value()
    reading = Replica(Database(read_dsn, settings.pool_size), db) if read_dsn else db
    secrets = (settings.secret_key.get_secret_value(), settings.old_secret_keys.get_secret_value())
    sealer = Sealer(derived_keys(*secrets, b"doorline sealed", 32))
    stores = StoresService(db, clock)
    provisioning = ProvisioningService(db, clock)
    tiers = TiersService(db, clock)
    members = member_desk(db, keys, sender_of(settings), rights_parts(), clock, tiers)
    membership = members.membership
    visits = VisitsService(db, stores, membership, clock)
    envelopes = EnvelopeKeys(settings.secret_key.get_secret_value(), settings.old_secret_keys.get_secret_value())
    facts = FactsService(db, clock)
    corrections = CorrectionsService(db, stores, clock)
    sales = SalesService(db, membership, clock)
    kpi = KpiService(db, stores, clock, reading=reading)
    return Services(
        settings=settings,
        clock=clock,
        db=db,
        reading=reading,
        access=AccessService(db, settings, clock),
        stores=stores,
        store_changes=StoreChanges(db, clock),
        store_sheets=StoreSheets(db, clock),
        provisioning=provisioning,
        issuing=Issuing(provisioning, settings),
        facts=facts,
        views=SavedViews(db, clock),
        labels=LabelsService(db, clock),
        opening=OpeningService(db, stores, clock),
        configs=ConfigService(db, clock),
        ingest=IngestService(db, clock),
        gaps=GapLedger(db, stores, clock),
        sales=sales,
        imports=ImportService(db, stores, sales, sealer, clock),
        member_imports=MemberImports(db, members.imports, sealer, clock),
        conflicts=ConflictService(db, sales),
        formats=FormatService(db, clock),
        webhooks=WebhookService(db, sealer, Sender(networks_of(settings.webhook_networks)), clock),
        rates=RatesService(db, settings.reporting_currency, clock, reading=reading),
        membership=membership,
        stored_value=StoredValueService(db, clock),
        value_cards=ValueCards(db, clock),
        value_rules=ValueRules(db, clock),
        settlement=Settlement(db, clock),
        coupons=CouponsService(db, clock),
        coupon_definitions=CouponDefinitions(db, clock),
        coupon_groups=CouponGroups(db, clock),
        coupon_redemptions=CouponRedemptions(db, clock),
        members=members,
        visits=visits,
        member_shares=MemberShares(reading, stores, kpi),
        points=PointsService(db, membership, clock),
        adjustments=Adjustments(db, clock),
        points_reports=PointsReports(reading, clock),
        tiers=tiers,
        tier_simulations=TierSimulations(reading, clock),
        value=ValueService(db, settings.reporting_currency, clock),
        offline_desk=OfflineDesk(db, envelopes, membership, visits, clock),
        kpi=kpi,
        setting_list=SettingList(db),
        corrections=corrections,
        tables=TableImport(stores, facts, corrections),
        jobs=JobsService(db, clock),
        requests=RequestService(db, Exchange(BrokerAddress.of(settings)), clock),
        setup=SetupService(db, clock),
    )
