-- Receipts with their tax, what other currencies are worth, files that are brought in, and who is told outside.

-- `gross` is what the lines add up to, as the till states it; `tax_included` says whether tax is in it, and `net` is what
-- is left without. Null: the till did not say.
ALTER TABLE receipt
    ADD COLUMN tax          numeric(14, 2) CHECK (tax >= 0),
    ADD COLUMN tax_included boolean,
    ADD COLUMN net          numeric(14, 2) CHECK (net >= 0),
    ADD CONSTRAINT receipt_tax_is_stated CHECK (tax IS NULL OR tax_included IS NOT NULL);
-- Lines are written with their receipt, in one transaction, by the one function that writes either, and nothing deletes
-- a receipt: to look up and lock the receipt for each of its lines took a third of the database's time in writing them.
ALTER TABLE receipt_line
    DROP CONSTRAINT receipt_line_store_id_receipt_no_fkey,
    ADD COLUMN sku_group text NOT NULL DEFAULT '',
    ADD COLUMN tax       numeric(14, 2);
ALTER TABLE receipt_conflict
    ADD COLUMN resolved_by text,
    ADD COLUMN resolution  text NOT NULL DEFAULT '';

-- One unit of a currency in the chain's reporting currency, from a day on until the next rate.
CREATE TABLE exchange_rate (
    currency   text NOT NULL,
    reporting  text NOT NULL,
    valid_from date NOT NULL,
    rate       numeric(20, 10) NOT NULL CHECK (rate > 0),
    entered_by text NOT NULL,
    entered_at timestamptz NOT NULL,
    PRIMARY KEY (currency, reporting, valid_from),
    CHECK (currency <> reporting)
);

-- How the files of a kind of till are read.
CREATE TABLE till_format (
    name       text PRIMARY KEY,
    format     jsonb NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL
);

-- A file that is or was brought in. `seen_at` is a sign of life of whoever works on it.
CREATE TABLE sales_import (
    import_id     uuid PRIMARY KEY,
    store_id      text NOT NULL REFERENCES store,
    file_name     text NOT NULL,
    state         text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
    dry_run       boolean NOT NULL,
    size          bigint NOT NULL,
    done          bigint NOT NULL DEFAULT 0,
    rows          bigint NOT NULL DEFAULT 0,
    receipts      bigint NOT NULL DEFAULT 0,
    accepted      bigint NOT NULL DEFAULT 0,
    repeated      bigint NOT NULL DEFAULT 0,
    conflicts     bigint NOT NULL DEFAULT 0,
    rejected      bigint NOT NULL DEFAULT 0,
    error_count   bigint NOT NULL DEFAULT 0,
    note_count    bigint NOT NULL DEFAULT 0,
    reason        text NOT NULL DEFAULT '',
    cancel_asked  boolean NOT NULL DEFAULT false,
    header        text[] NOT NULL DEFAULT '{}',
    delimiter     text NOT NULL DEFAULT ',',
    started_by    text NOT NULL,
    started_at    timestamptz NOT NULL,
    seen_at       timestamptz NOT NULL,
    finished_at   timestamptz
);
CREATE INDEX sales_import_by_store ON sales_import (store_id, started_at DESC);

-- Rows that were not taken, with what was in them (encrypted: there are phone numbers among it), to be corrected and
-- sent again.
CREATE TABLE sales_import_error (
    import_id  uuid NOT NULL REFERENCES sales_import ON DELETE CASCADE,
    line       bigint NOT NULL,
    receipt_no text,
    field      text,
    reason     text NOT NULL,
    remedy     text NOT NULL,
    cells      bytea NOT NULL
);
CREATE INDEX sales_import_error_by_line ON sales_import_error (import_id, line);

-- Who outside is told what happens. The secret is encrypted; it is shown once.
CREATE TABLE webhook (
    webhook_id   uuid PRIMARY KEY,
    url          text NOT NULL,
    kinds        text[] NOT NULL,
    store_ids    text[],
    secret_enc   bytea NOT NULL,
    note         text NOT NULL DEFAULT '',
    made_by      text NOT NULL,
    made_at      timestamptz NOT NULL,
    failures     integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    retry_at     timestamptz,
    paused_at    timestamptz,
    paused_why   text NOT NULL DEFAULT '',
    ended_at     timestamptz
);

CREATE TABLE webhook_delivery (
    delivery_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id  uuid NOT NULL REFERENCES webhook ON DELETE CASCADE,
    event_id    bigint NOT NULL,
    kind        text NOT NULL,
    store_id    text,
    subject     text NOT NULL,
    payload     bytea NOT NULL,
    state       text NOT NULL CHECK (state IN ('waiting', 'delivered', 'given_up')),
    attempts    integer NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL,
    told_at     timestamptz,
    status      integer,
    reason      text NOT NULL DEFAULT '',
    made_at     timestamptz NOT NULL,
    UNIQUE (webhook_id, event_id)
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook_id, due_at) WHERE state = 'waiting';
CREATE INDEX webhook_delivery_by_age ON webhook_delivery (made_at) WHERE state <> 'waiting';
