-- Stored value: what members and bearers of cards have paid in, as a double-entry ledger.
--
-- An entry's amount is positive for a credit and negative for a debit; what is owed to a card is the plain sum of its
-- lots' accounts, and the entries of a posting sum to zero. Nothing posted is ever changed or deleted: a mistake is
-- posted back. The database holds to this by itself, whatever a program tries.

CREATE TABLE value_setting (
    currency         text PRIMARY KEY CHECK (currency ~ '^[A-Z]{3}$'),
    cap_registered   numeric(14, 2) CHECK (cap_registered > 0),
    cap_unregistered numeric(14, 2) CHECK (cap_unregistered > 0),
    cap_counts_bonus boolean NOT NULL,
    spend_order      text NOT NULL CHECK (spend_order IN ('proportional', 'principal_first', 'bonus_first')),
    cooling_off_days smallint NOT NULL CHECK (cooling_off_days BETWEEN 0 AND 365),
    late_fee_percent numeric(5, 2) NOT NULL CHECK (late_fee_percent >= 0 AND late_fee_percent < 100),
    bonus_borne_by   text NOT NULL CHECK (bonus_borne_by IN ('seller', 'server')),
    set_by           text NOT NULL,
    set_at           timestamptz NOT NULL
);

-- What a top-up brings on top, from an amount on; the best of those in force is given. No store: any.
CREATE TABLE value_bonus_rule (
    rule_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    currency    text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    from_amount numeric(14, 2) NOT NULL CHECK (from_amount > 0),
    amount      numeric(14, 2) NOT NULL DEFAULT 0 CHECK (amount >= 0),
    percent     numeric(6, 2) NOT NULL DEFAULT 0 CHECK (percent >= 0 AND percent <= 1000),
    store_ids   text[],
    valid_from  timestamptz NOT NULL,
    valid_until timestamptz CHECK (valid_until > valid_from),
    made_by     text NOT NULL,
    made_at     timestamptz NOT NULL,
    ended_at    timestamptz
);

-- A card without a member is unregistered: whoever has it may spend it.
CREATE TABLE value_card (
    card_id     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    member_id   uuid REFERENCES member,
    currency    text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    store_id    text NOT NULL REFERENCES store,
    state       text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'frozen', 'closed')),
    state_why   text NOT NULL DEFAULT '',
    idempotency_key text NOT NULL,
    opened_by   text NOT NULL,
    opened_at   timestamptz NOT NULL,
    UNIQUE (store_id, idempotency_key)
);
CREATE INDEX value_card_member ON value_card (member_id) WHERE member_id IS NOT NULL;

-- A lost card gets another number; what is on it stays where it is.
CREATE TABLE value_number (
    card_no   text PRIMARY KEY,
    card_id   uuid NOT NULL REFERENCES value_card,
    issued_by text NOT NULL,
    issued_at timestamptz NOT NULL,
    ended_at  timestamptz
);
CREATE UNIQUE INDEX value_number_live ON value_number (card_id) WHERE ended_at IS NULL;

-- Whose a card was and became. A merge of members moves none: a card is read through the member it was merged into.
CREATE TABLE value_holder (
    holder_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    card_id     uuid NOT NULL REFERENCES value_card,
    from_member uuid REFERENCES member,
    to_member   uuid REFERENCES member,
    why         text NOT NULL CHECK (why IN ('registered', 'handed_over')),
    reason      text NOT NULL DEFAULT '',
    at          timestamptz NOT NULL,
    actor       text NOT NULL
);
CREATE INDEX value_holder_card ON value_holder (card_id);

-- `txid` is the transaction that made it: entries can't be added to a posting of yesterday.
CREATE TABLE value_posting (
    posting_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text NOT NULL CHECK (kind IN ('top_up', 'opening', 'spend', 'return', 'pay_out', 'lapse', 'settle')),
    card_id         uuid REFERENCES value_card,
    member_id       uuid,
    store_id        text NOT NULL REFERENCES store,
    currency        text NOT NULL,
    idempotency_key text NOT NULL,
    request_hash    bytea NOT NULL,
    refers_to       bigint REFERENCES value_posting,
    receipt_no      text,
    tender          text NOT NULL DEFAULT '',
    bonus_borne_by  text NOT NULL CHECK (bonus_borne_by IN ('seller', 'server')),
    reason          text NOT NULL DEFAULT '',
    actor           text NOT NULL,
    at              timestamptz NOT NULL,
    txid            xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (store_id, idempotency_key),
    CHECK ((kind = 'settle') = (card_id IS NULL))
);
CREATE INDEX value_posting_card ON value_posting (card_id, posting_id);
CREATE INDEX value_posting_refers ON value_posting (refers_to) WHERE refers_to IS NOT NULL;
CREATE INDEX value_posting_at ON value_posting (at);

-- One top-up: who sold it, and when, for as long as anything of it is left.
CREATE TABLE value_lot (
    lot_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    card_id    uuid NOT NULL REFERENCES value_card,
    posting_id bigint NOT NULL UNIQUE REFERENCES value_posting,
    store_id   text NOT NULL REFERENCES store,
    sold_at    timestamptz NOT NULL,
    principal  numeric(14, 2) NOT NULL CHECK (principal >= 0),
    bonus      numeric(14, 2) NOT NULL CHECK (bonus >= 0)
);
CREATE INDEX value_lot_card ON value_lot (card_id);

-- principal, bonus: of a lot. cash, bonus_cost, sales, fees, opening: of a store. debt, claim: of a store to and on
-- another. Only lots keep a balance, which can't fall below nothing; a store's is the sum of its entries, so that two
-- desks of a store don't wait for each other.
CREATE TABLE value_account (
    account_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('principal', 'bonus', 'cash', 'bonus_cost', 'sales', 'fees', 'opening',
                                              'debt', 'claim')),
    currency    text NOT NULL,
    lot_id      bigint REFERENCES value_lot,
    store_id    text REFERENCES store,
    other_store text REFERENCES store,
    balance     numeric(16, 2) NOT NULL DEFAULT 0,
    UNIQUE NULLS NOT DISTINCT (lot_id, kind, store_id, other_store, currency),
    CHECK ((kind IN ('principal', 'bonus')) = (lot_id IS NOT NULL)),
    CHECK ((lot_id IS NULL) = (store_id IS NOT NULL)),
    CHECK ((kind IN ('debt', 'claim')) = (other_store IS NOT NULL)),
    CONSTRAINT value_account_not_overspent CHECK (lot_id IS NULL OR balance >= 0)
);

CREATE TABLE value_entry (
    posting_id bigint NOT NULL REFERENCES value_posting,
    line       smallint NOT NULL,
    account_id bigint NOT NULL REFERENCES value_account,
    amount     numeric(14, 2) NOT NULL,
    PRIMARY KEY (posting_id, line)
);
CREATE INDEX value_entry_account ON value_entry (account_id, posting_id);

CREATE FUNCTION value_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: post it back instead', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER value_posting_kept BEFORE UPDATE OR DELETE ON value_posting FOR EACH ROW EXECUTE FUNCTION value_refuse();
CREATE TRIGGER value_posting_all_kept BEFORE TRUNCATE ON value_posting EXECUTE FUNCTION value_refuse();
CREATE TRIGGER value_entry_kept BEFORE UPDATE OR DELETE ON value_entry FOR EACH ROW EXECUTE FUNCTION value_refuse();
CREATE TRIGGER value_entry_all_kept BEFORE TRUNCATE ON value_entry EXECUTE FUNCTION value_refuse();
CREATE TRIGGER value_lot_kept BEFORE UPDATE OR DELETE ON value_lot FOR EACH ROW EXECUTE FUNCTION value_refuse();
CREATE TRIGGER value_lot_all_kept BEFORE TRUNCATE ON value_lot EXECUTE FUNCTION value_refuse();
CREATE TRIGGER value_account_kept BEFORE DELETE ON value_account FOR EACH ROW EXECUTE FUNCTION value_refuse();
CREATE TRIGGER value_account_all_kept BEFORE TRUNCATE ON value_account EXECUTE FUNCTION value_refuse();

-- An account begins with nothing, and its balance moves by entries alone.
CREATE FUNCTION value_account_checked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.balance <> 0 THEN
            RAISE EXCEPTION 'an account begins with nothing' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSIF pg_trigger_depth() < 2
          OR (NEW.kind, NEW.currency, NEW.lot_id, NEW.store_id, NEW.other_store)
             IS DISTINCT FROM (OLD.kind, OLD.currency, OLD.lot_id, OLD.store_id, OLD.other_store) THEN
        RAISE EXCEPTION 'a balance moves by entries alone' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER value_account_moves BEFORE INSERT OR UPDATE ON value_account
    FOR EACH ROW EXECUTE FUNCTION value_account_checked();

CREATE FUNCTION value_entry_booked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM value_posting p
        JOIN value_account a ON a.account_id = NEW.account_id AND a.currency = p.currency
        WHERE p.posting_id = NEW.posting_id AND p.txid = pg_current_xact_id()
    ) THEN
        RAISE EXCEPTION 'an entry belongs to a posting of its own transaction and currency'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    UPDATE value_account SET balance = balance + NEW.amount WHERE account_id = NEW.account_id AND lot_id IS NOT NULL;
    RETURN NULL;
END
$$;
CREATE TRIGGER value_entry_books AFTER INSERT ON value_entry FOR EACH ROW EXECUTE FUNCTION value_entry_booked();

CREATE FUNCTION value_posting_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT coalesce(sum(amount), -1) FROM value_entry WHERE posting_id = NEW.posting_id) <> 0 THEN
        RAISE EXCEPTION 'the entries of posting % do not sum to zero', NEW.posting_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
$$;
-- On the posting, so that one without entries is refused, too. Entries join a posting in its own transaction only.
CREATE CONSTRAINT TRIGGER value_posting_sums AFTER INSERT ON value_posting DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION value_posting_balanced();
