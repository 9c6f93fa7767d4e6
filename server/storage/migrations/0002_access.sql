-- Who may do what.

CREATE TABLE app_user (
    user_id       uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    username      text NOT NULL UNIQUE CHECK (username = lower(username)),
    display_name  text NOT NULL,
    password_hash text NOT NULL,
    role          text NOT NULL CHECK (role IN ('admin', 'hq', 'region', 'manager', 'desk')),
    locale        text NOT NULL DEFAULT 'zh' CHECK (locale IN ('zh', 'en')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    disabled_at   timestamptz
);

-- Stores a region, manager or desk user works for; admin and hq see all.
CREATE TABLE user_store (
    user_id  uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    store_id text NOT NULL REFERENCES store,
    PRIMARY KEY (user_id, store_id)
);

-- Sessions live here; the browser holds a random token of which only the hash is kept.
CREATE TABLE session (
    token_hash   bytea PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES app_user ON DELETE CASCADE,
    csrf_token   text NOT NULL,
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    address      text NOT NULL DEFAULT ''
);
CREATE INDEX session_by_user ON session (user_id);

-- Keys of tills and BI tools: hashed, scoped, expiring.
CREATE TABLE api_key (
    key_id       text PRIMARY KEY,
    secret_hash  bytea NOT NULL,
    name         text NOT NULL,
    role         text NOT NULL CHECK (role IN ('till', 'hq', 'admin')),
    store_ids    text[] NOT NULL DEFAULT '{}',
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz
);

-- Failed sign-ins per account and address, for the lock-out.
CREATE TABLE sign_in_failure (
    username text NOT NULL,
    address  text NOT NULL,
    at       timestamptz NOT NULL
);
CREATE INDEX sign_in_failure_at ON sign_in_failure (username, at);
CREATE INDEX sign_in_failure_address ON sign_in_failure (address, at);

CREATE TABLE audit (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now(),
    actor    text NOT NULL,
    action   text NOT NULL,
    subject  text NOT NULL DEFAULT '',
    store_id text,
    detail   jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_at ON audit (at);
