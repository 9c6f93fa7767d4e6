-- VIPs. What names a person is encrypted; what finds one is a table of keyed hashes.

CREATE TABLE member (
    member_id    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    card_no      text NOT NULL UNIQUE,
    home_store   text NOT NULL REFERENCES store,
    tier         text NOT NULL DEFAULT 'member',
    key_id       text NOT NULL,
    name_enc     bytea NOT NULL,
    phone_enc    bytea NOT NULL,
    birthday_enc bytea,
    source       text NOT NULL DEFAULT 'desk',
    enrolled_by  text NOT NULL,
    enrolled_at  timestamptz NOT NULL,
    erased_at    timestamptz
);
CREATE INDEX member_home_store ON member (home_store, enrolled_at DESC);

-- Keyed hashes by which a member is found. One member per phone number.
CREATE TABLE member_token (
    kind      text NOT NULL CHECK (kind IN ('phone', 'last4', 'name', 'initials')),
    token     bytea NOT NULL,
    member_id uuid NOT NULL REFERENCES member ON DELETE CASCADE,
    PRIMARY KEY (kind, token, member_id)
);
CREATE UNIQUE INDEX member_token_phone ON member_token (token) WHERE kind = 'phone';
CREATE INDEX member_token_member ON member_token (member_id);

-- Consent is a receipt: purpose, channel, wording, when, who.
CREATE TABLE member_consent (
    consent_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id  uuid NOT NULL REFERENCES member ON DELETE CASCADE,
    purpose    text NOT NULL CHECK (purpose IN ('membership', 'marketing')),
    channel    text NOT NULL,
    wording    text NOT NULL,
    granted    boolean NOT NULL,
    recorded_by text NOT NULL,
    at         timestamptz NOT NULL
);
CREATE INDEX member_consent_member ON member_consent (member_id, at);
