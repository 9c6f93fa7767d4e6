-- Points: a ledger that is only ever added to, lots that expire, and the balance that both add up to.

-- What nobody may change, not even by mistake: whoever must take something back adds the opposite. The triggers fire for
-- statements, so an INSERT pays nothing for them, and always, so a session that plays replica is refused as well.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: it is only ever added to', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;

-- One row a member, held FOR UPDATE by whoever changes anything of the member's points, and changed in that transaction:
-- a balance costs no sum. `owed` is what was spent of points that a refund took back; while anything is owed there is no
-- lot to spend from. No reference to member: a ledger outlives whom it is about.
CREATE TABLE points_account (
    member_id  uuid PRIMARY KEY,
    balance    bigint NOT NULL DEFAULT 0,
    pending    bigint NOT NULL DEFAULT 0 CHECK (pending >= 0),
    owed       bigint NOT NULL DEFAULT 0 CHECK (owed >= 0),
    changed_at timestamptz NOT NULL DEFAULT now(),
    CHECK (balance >= -owed)
);
CREATE INDEX points_account_owed ON points_account (member_id) WHERE owed > 0;

-- What was earned together and expires together. `remaining` is what its movements add up to, `lapsed` what expired of it
-- and was not set against a refund yet. `earned_by` is the member it was first made for, `root_lot` the lot it was first
-- made as: both survive a merge, which moves what remains into a lot of its own.
CREATE SEQUENCE points_lot_number;
CREATE TABLE points_lot (
    lot_id       bigint PRIMARY KEY,
    root_lot     bigint,
    member_id    uuid NOT NULL,
    earned_by    uuid NOT NULL,
    store_id     text,
    receipt_no   text,
    earned_at    timestamptz NOT NULL,
    available_at timestamptz NOT NULL,
    expires_at   timestamptz,
    points       bigint NOT NULL CHECK (points > 0),
    remaining    bigint NOT NULL CHECK (remaining BETWEEN 0 AND points),
    lapsed       bigint NOT NULL DEFAULT 0 CHECK (lapsed BETWEEN 0 AND points),
    is_pending   boolean NOT NULL DEFAULT false
);
CREATE INDEX points_lot_live ON points_lot (member_id) WHERE remaining > 0;
CREATE INDEX points_lot_due ON points_lot (available_at) WHERE is_pending AND remaining > 0;
CREATE INDEX points_lot_expiring ON points_lot (expires_at) WHERE NOT is_pending AND remaining > 0;
CREATE INDEX points_lot_root ON points_lot (root_lot) WHERE root_lot IS NOT NULL;

-- The ledger. `points` is what an entry adds to the balance, `pending` to what waits for the return window to close;
-- `balance` is what the member had after it. The key makes it happen once; `content` is the digest of what was asked for
-- under that key. Nothing that a person typed is here, since it could never be erased: that is in points_reason.
CREATE SEQUENCE points_entry_number;
CREATE TABLE points_entry (
    entry_id   bigint PRIMARY KEY,
    member_id  uuid NOT NULL,
    kind       text NOT NULL CHECK (kind IN ('earn', 'release', 'redeem', 'void', 'expire', 'adjust', 'reverse',
                                             'restore', 'merge', 'opening', 'forfeit')),
    points     bigint NOT NULL,
    pending    bigint NOT NULL,
    balance    bigint NOT NULL,
    at         timestamptz NOT NULL,
    key        text NOT NULL UNIQUE,
    content    bytea NOT NULL,
    store_id   text,
    receipt_no text,
    refers_to  bigint,
    actor      text NOT NULL
);
CREATE INDEX points_entry_member ON points_entry (member_id, entry_id);
CREATE UNIQUE INDEX points_entry_void ON points_entry (refers_to) WHERE kind = 'void';

-- From and to which lot an entry moves points; lot 0 stands for what is owed. `absorbed` is what a refund took back that
-- had expired already: it moves nothing, and lessens the lot's `lapsed`.
CREATE TABLE points_movement (
    entry_id bigint NOT NULL,
    lot_id   bigint NOT NULL,
    points   bigint NOT NULL,
    pending  bigint NOT NULL,
    absorbed bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (entry_id, lot_id)
);

CREATE TRIGGER points_entry_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON points_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE points_entry ENABLE ALWAYS TRIGGER points_entry_only_added;
CREATE TRIGGER points_movement_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON points_movement
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE points_movement ENABLE ALWAYS TRIGGER points_movement_only_added;

CREATE TABLE points_reason (
    entry_id bigint PRIMARY KEY,
    reason   text NOT NULL CHECK (reason <> '')
);

-- How points are earned and what they are worth. A version holds from `valid_from` until the next one's, and is never
-- changed: a receipt of March earns by the rules of March whenever it arrives.
CREATE TABLE points_rules (
    version    integer PRIMARY KEY,
    valid_from timestamptz NOT NULL UNIQUE,
    body       jsonb NOT NULL,
    reason     text NOT NULL CHECK (reason <> ''),
    made_by    text NOT NULL,
    made_at    timestamptz NOT NULL,
    CHECK (valid_from >= made_at)
);
CREATE TRIGGER points_rules_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON points_rules
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE points_rules ENABLE ALWAYS TRIGGER points_rules_only_added;

-- What membership remembers of receipts: members' sales, all refunds and voids (they may come before their sale). What
-- stands of a sale is worked out from these rows, so that the order of arrival makes no difference. `member_id` is whom
-- the receipt named, `holder` whose it is today (a merge changes that). `kept` is the money of a sale that was not given
-- back, less than nothing for a refund that refers to none; `earned` and `standing` are the points booked for it.
CREATE TABLE points_receipt (
    store_id      text NOT NULL,
    receipt_no    text NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('sale', 'refund', 'void')),
    channel       text NOT NULL,
    at            timestamptz NOT NULL,
    day           date NOT NULL,
    currency      text NOT NULL,
    gross         numeric(14, 2) NOT NULL,
    net           numeric(14, 2),
    refers_to     text,
    member_id     uuid,
    holder        uuid,
    lines         jsonb NOT NULL DEFAULT '[]',
    is_voided     boolean NOT NULL DEFAULT false,
    kept          numeric(14, 2) NOT NULL DEFAULT 0,
    rules_version integer,
    tier          text,
    multiplier    numeric(8, 4),
    lot_id        bigint,
    earned        bigint NOT NULL DEFAULT 0,
    standing      bigint NOT NULL DEFAULT 0,
    bookings      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (store_id, receipt_no)
);
CREATE INDEX points_receipt_refers ON points_receipt (store_id, refers_to) WHERE refers_to IS NOT NULL;
CREATE INDEX points_receipt_holder ON points_receipt (holder, at) WHERE holder IS NOT NULL;

-- Adjustments over the limit: asked for by one person, decided by another, and the database holds them to it.
CREATE TABLE points_request (
    request_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id       uuid NOT NULL,
    points          bigint NOT NULL CHECK (points <> 0),
    store_id        text,
    reason          text NOT NULL CHECK (reason <> ''),
    key             text NOT NULL UNIQUE,
    content         bytea NOT NULL,
    requested_by    text NOT NULL,
    requested_at    timestamptz NOT NULL,
    decision        text CHECK (decision IN ('approved', 'declined')),
    decided_by      text CHECK (decided_by <> requested_by),
    decided_at      timestamptz,
    decision_reason text,
    entry_id        bigint,
    CHECK ((decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)),
    CHECK ((decision = 'approved') = (entry_id IS NOT NULL))
);
CREATE INDEX points_request_open ON points_request (requested_at) WHERE decision IS NULL;
CREATE INDEX points_request_member ON points_request (member_id);
