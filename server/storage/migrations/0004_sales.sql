-- Receipts from the tills. A receipt is known by its store and number; the same number with other content is a
-- conflict and is kept for a person. Money is numeric, in the receipt's currency. A void is a receipt too, without
-- money: kept, so that it can arrive before the sale it refers to.

CREATE TABLE receipt (
    store_id     text NOT NULL REFERENCES store,
    receipt_no   text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('sale', 'refund', 'void')),
    channel      text NOT NULL CHECK (channel IN ('till', 'online', 'pickup')),
    at           timestamptz NOT NULL,
    currency     text NOT NULL,
    gross        numeric(14, 2) NOT NULL CHECK (gross >= 0),
    units        numeric(12, 3) NOT NULL,
    member_id    uuid,
    cashier      text NOT NULL DEFAULT '',
    tender       text NOT NULL DEFAULT '',
    refers_to    text,
    voided_at    timestamptz,
    content_hash bytea NOT NULL,
    received_at  timestamptz NOT NULL,
    PRIMARY KEY (store_id, receipt_no)
);
CREATE INDEX receipt_store_at ON receipt (store_id, at);
CREATE INDEX receipt_void ON receipt (store_id, refers_to) WHERE kind = 'void';
CREATE INDEX receipt_member ON receipt (member_id, at) WHERE member_id IS NOT NULL;

CREATE TABLE receipt_line (
    store_id    text NOT NULL,
    receipt_no  text NOT NULL,
    line_no     smallint NOT NULL,
    sku         text NOT NULL,
    description text NOT NULL DEFAULT '',
    quantity    numeric(12, 3) NOT NULL,
    unit_price  numeric(14, 2) NOT NULL,
    discount    numeric(14, 2) NOT NULL DEFAULT 0,
    amount      numeric(14, 2) NOT NULL,
    cost        numeric(14, 2),
    PRIMARY KEY (store_id, receipt_no, line_no),
    FOREIGN KEY (store_id, receipt_no) REFERENCES receipt ON DELETE CASCADE
);

CREATE TABLE receipt_conflict (
    conflict_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    store_id     text NOT NULL,
    receipt_no   text NOT NULL,
    content_hash bytea NOT NULL,
    payload      jsonb NOT NULL,
    received_at  timestamptz NOT NULL,
    resolved_at  timestamptz
);
-- A till that sends the same thing again and again makes one conflict.
CREATE UNIQUE INDEX receipt_conflict_open ON receipt_conflict (store_id, receipt_no, content_hash)
    WHERE resolved_at IS NULL;
