-- Coupons: what is promised, who has it, and that it was used once.

-- A definition is never changed once coupons of it are out: it is ended and another made. No store, no SKU group: any.
CREATE TABLE coupon_definition (
    definition_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title           jsonb NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('amount', 'percent', 'gift')),
    currency        text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    value           numeric(14, 2) NOT NULL DEFAULT 0 CHECK (value >= 0),
    most_off        numeric(14, 2) CHECK (most_off > 0),
    gift_sku        text,
    minimum_spend   numeric(14, 2) NOT NULL DEFAULT 0 CHECK (minimum_spend >= 0),
    sku_groups      text[],
    store_ids       text[],
    stacking        text NOT NULL CHECK (stacking IN ('alone', 'others', 'any')),
    valid_from      timestamptz NOT NULL,
    valid_until     timestamptz CHECK (valid_until > valid_from),
    valid_days      smallint CHECK (valid_days BETWEEN 1 AND 3650),
    most_per_member integer CHECK (most_per_member > 0),
    most_in_all     integer CHECK (most_in_all > 0),
    on_refund       text NOT NULL CHECK (on_refund IN ('restore', 'forfeit')),
    issue_on        text CHECK (issue_on IN ('welcome', 'birthday', 'tier_up', 'win_back')),
    tiers           text[],
    days            smallint CHECK (days BETWEEN 0 AND 3650),
    asks_consent    boolean NOT NULL,
    made_by         text NOT NULL,
    made_at         timestamptz NOT NULL,
    ended_at        timestamptz,
    CHECK (valid_until IS NOT NULL OR valid_days IS NOT NULL),
    CHECK ((kind = 'gift') = (gift_sku IS NOT NULL)),
    CHECK ((issue_on = 'tier_up') IS NOT TRUE OR tiers IS NOT NULL),
    CHECK ((issue_on = 'win_back') IS NOT TRUE OR days IS NOT NULL)
);
CREATE INDEX coupon_definition_rule ON coupon_definition (issue_on) WHERE ended_at IS NULL AND issue_on IS NOT NULL;

-- `issue_key` says what it was issued for: the same reason never makes a second one. An erased member's code is gone.
CREATE TABLE coupon (
    coupon_id     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    definition_id bigint NOT NULL REFERENCES coupon_definition,
    code          text UNIQUE,
    member_id     uuid REFERENCES member,
    issue_key     text NOT NULL,
    valid_from    timestamptz NOT NULL,
    valid_until   timestamptz NOT NULL,
    state         text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'redeemed', 'voided', 'expired')),
    why           text NOT NULL DEFAULT '',
    issued_by     text NOT NULL,
    issued_at     timestamptz NOT NULL,
    UNIQUE (definition_id, issue_key)
);
CREATE INDEX coupon_member ON coupon (member_id, issued_at) WHERE member_id IS NOT NULL;
CREATE INDEX coupon_open ON coupon (valid_until) WHERE state = 'open';

-- One that stands to a coupon. One that a whole refund took back stays, as what it was.
CREATE TABLE coupon_redemption (
    redemption_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    coupon_id       uuid NOT NULL REFERENCES coupon,
    store_id        text NOT NULL REFERENCES store,
    receipt_no      text NOT NULL,
    idempotency_key text NOT NULL,
    request_hash    bytea NOT NULL,
    currency        text NOT NULL,
    spent           numeric(14, 2) NOT NULL,
    discount        numeric(14, 2) NOT NULL CHECK (discount >= 0),
    actor           text NOT NULL,
    at              timestamptz NOT NULL,
    undone_at       timestamptz,
    UNIQUE (store_id, idempotency_key)
);
CREATE UNIQUE INDEX coupon_redemption_once ON coupon_redemption (coupon_id) WHERE undone_at IS NULL;
CREATE INDEX coupon_redemption_receipt ON coupon_redemption (store_id, receipt_no);
