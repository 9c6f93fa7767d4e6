-- Who signs in, and by what: temporary passwords, one-time codes, identity providers; keys with rights of their own.

ALTER TABLE app_user
    -- A temporary password opens nothing but the form that replaces it, and not even that after `password_until`.
    ADD COLUMN must_change    boolean NOT NULL DEFAULT false,
    ADD COLUMN password_until timestamptz,
    -- Encrypted. In use since `totp_since`; until then it was only offered.
    ADD COLUMN totp_secret    bytea,
    ADD COLUMN totp_since     timestamptz CHECK (totp_since IS NULL OR totp_secret IS NOT NULL),
    -- The last 30 seconds a code was taken of: no code is taken twice.
    ADD COLUMN totp_step      bigint NOT NULL DEFAULT 0,
    -- Issuer and subject, for who signs in through an identity provider and never by password.
    ADD COLUMN identity       text UNIQUE;

CREATE TABLE recovery_code (
    user_id   uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    used_at   timestamptz,
    PRIMARY KEY (user_id, code_hash)
);

-- A session that is not open yet asks for something first: a code, a code's set-up, another password.
ALTER TABLE session
    ADD COLUMN session_id uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    ADD COLUMN stage      text NOT NULL DEFAULT 'open' CHECK (stage IN ('open', 'code', 'enrol', 'password')),
    ADD COLUMN agent      text NOT NULL DEFAULT '';

-- What a key may do: 'kpi:read', 'receipts:write'. Empty: whatever its role may.
ALTER TABLE api_key
    ADD COLUMN rights  text[] NOT NULL DEFAULT '{}',
    ADD COLUMN follows text REFERENCES api_key;

-- Sign-ins on their way to an identity provider and back.
CREATE TABLE oidc_attempt (
    state_hash   bytea PRIMARY KEY,
    browser_hash bytea NOT NULL,
    nonce        text NOT NULL,
    verifier     text NOT NULL,
    way_back     text NOT NULL DEFAULT '',
    expires_at   timestamptz NOT NULL
);
CREATE INDEX oidc_attempt_expires ON oidc_attempt (expires_at);
