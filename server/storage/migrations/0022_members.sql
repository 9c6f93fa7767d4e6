-- Members as a chain works with them: merged and parted again, numbers that change hands, consents by purpose and way,
-- what the chain wants to know of a member, who looks after them, and what is left of one who was erased.

-- An erased member is a row without a person: ledgers and receipts go on pointing at it. `merged_into` is all that a
-- merge changes; whatever belonged to the member that is gone stays with it and is read through it, so that undoing the
-- merge gives everything back. `external_no` is the number of the system that the member was brought in from.
ALTER TABLE member
    ALTER COLUMN name_enc DROP NOT NULL,
    ALTER COLUMN phone_enc DROP NOT NULL,
    ADD COLUMN custom_enc        bytea,
    ADD COLUMN phone_verified_at timestamptz,
    ADD COLUMN merged_into       uuid REFERENCES member CHECK (merged_into <> member_id),
    ADD COLUMN enrolled_store    text REFERENCES store,
    ADD COLUMN staff             text NOT NULL DEFAULT '',
    ADD COLUMN campaign          text NOT NULL DEFAULT '',
    ADD COLUMN advisor           text NOT NULL DEFAULT '',
    ADD COLUMN external_no       text,
    ADD COLUMN changed_at        timestamptz;
UPDATE member SET enrolled_store = home_store;
CREATE INDEX member_merged ON member (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX member_advised ON member (advisor) WHERE advisor <> '';
CREATE UNIQUE INDEX member_external ON member (external_no) WHERE external_no IS NOT NULL;

-- Whom an id means today: itself, or whom it was merged into.
CREATE FUNCTION member_root(id uuid) RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH RECURSIVE up AS (
        SELECT m.member_id, m.merged_into FROM member m WHERE m.member_id = id
        UNION ALL
        SELECT m.member_id, m.merged_into FROM up JOIN member m ON m.member_id = up.merged_into
    )
    SELECT member_id FROM up WHERE merged_into IS NULL
$$;

-- A member and all who were merged into it, by whatever way.
CREATE FUNCTION member_family(id uuid) RETURNS SETOF uuid LANGUAGE sql STABLE PARALLEL SAFE ROWS 1 AS $$
    WITH RECURSIVE down AS (
        SELECT id AS member_id
        UNION ALL
        SELECT m.member_id FROM down JOIN member m ON m.merged_into = down.member_id
    )
    SELECT member_id FROM down
$$;

-- 'twin' is the name together with the birthday: who shares one may be the same person.
ALTER TABLE member_token DROP CONSTRAINT member_token_kind_check;
ALTER TABLE member_token ADD CONSTRAINT member_token_kind_check
    CHECK (kind IN ('phone', 'last4', 'name', 'initials', 'twin'));

-- `channel` is where the answer was given, `reach` by what way it allows to be reached ('' is any), `version` which
-- wording was shown.
ALTER TABLE member_consent DROP CONSTRAINT member_consent_purpose_check;
ALTER TABLE member_consent
    ADD CONSTRAINT member_consent_purpose_check
        CHECK (purpose IN ('membership', 'marketing', 'profiling', 'sharing')),
    ADD COLUMN reach   text NOT NULL DEFAULT '' CHECK (reach IN ('', 'sms', 'phone', 'email', 'wechat', 'post')),
    ADD COLUMN version text NOT NULL DEFAULT '';

-- What is shown when consent is asked for, where the chain has words of its own; never changed, the newest counts.
CREATE TABLE consent_wording (
    purpose text NOT NULL CHECK (purpose IN ('membership', 'marketing', 'profiling', 'sharing')),
    locale  text NOT NULL CHECK (locale IN ('zh', 'en')),
    version text NOT NULL CHECK (version <> ''),
    wording text NOT NULL CHECK (wording <> ''),
    made_by text NOT NULL,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (purpose, locale, version)
);

-- Numbers a member had before. `went_to` has it now, where it was proved to be somebody else's.
CREATE TABLE member_phone (
    phone_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id  uuid NOT NULL REFERENCES member ON DELETE CASCADE,
    phone_enc  bytea NOT NULL,
    key_id     text NOT NULL,
    until_at   timestamptz NOT NULL,
    why        text NOT NULL CHECK (why IN ('changed', 'reassigned')),
    went_to    uuid REFERENCES member,
    changed_by text NOT NULL
);
CREATE INDEX member_phone_member ON member_phone (member_id);

-- One-time codes: only hashes, and of the number, too.
CREATE TABLE member_code (
    code_id      uuid PRIMARY KEY,
    phone_token  bytea NOT NULL,
    code_hash    bytea NOT NULL,
    key_id       text NOT NULL,
    requested_by text NOT NULL,
    made_at      timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    attempts     smallint NOT NULL DEFAULT 0,
    used_at      timestamptz
);
CREATE INDEX member_code_phone ON member_code (phone_token, made_at);
CREATE INDEX member_code_by ON member_code (requested_by, made_at);
CREATE INDEX member_code_made ON member_code (made_at);

CREATE TABLE member_merge (
    merge_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kept      uuid NOT NULL REFERENCES member,
    gone      uuid NOT NULL REFERENCES member,
    reason    text NOT NULL DEFAULT '',
    merged_by text NOT NULL,
    merged_at timestamptz NOT NULL,
    undone_by text,
    undone_at timestamptz
);
CREATE UNIQUE INDEX member_merge_open ON member_merge (gone) WHERE undone_at IS NULL;
CREATE INDEX member_merge_kept ON member_merge (kept);

-- Looked alike and are not: not to be suggested again. `one` is the lesser id.
CREATE TABLE member_not_twin (
    one     uuid NOT NULL REFERENCES member ON DELETE CASCADE,
    other   uuid NOT NULL REFERENCES member ON DELETE CASCADE,
    said_by text NOT NULL,
    said_at timestamptz NOT NULL,
    PRIMARY KEY (one, other)
);

-- Pages with a member's card that open without signing in; the database has the hash of what stands in the address.
CREATE TABLE member_link (
    link_id      uuid PRIMARY KEY,
    member_id    uuid NOT NULL REFERENCES member ON DELETE CASCADE,
    token_hash   bytea NOT NULL UNIQUE,
    made_by      text NOT NULL,
    made_at      timestamptz NOT NULL,
    revoked_by   text,
    revoked_at   timestamptz,
    last_seen_at timestamptz
);
CREATE INDEX member_link_member ON member_link (member_id);

-- What the chain wants to know of a member beyond name, number and birthday. Values stand encrypted in
-- member.custom_enc, by field. A retired field is not asked for any more; what was answered is kept.
CREATE TABLE member_field (
    field      text PRIMARY KEY CHECK (field ~ '^[a-z][a-z0-9_]{0,39}$'),
    kind       text NOT NULL CHECK (kind IN ('text', 'number', 'date', 'boolean', 'choice', 'choices')),
    labels     jsonb NOT NULL,
    rules      jsonb NOT NULL DEFAULT '{}',
    place      integer NOT NULL DEFAULT 0,
    made_by    text NOT NULL,
    made_at    timestamptz NOT NULL,
    retired_at timestamptz
);

-- Who looks after a member, and who did before. The one of today also stands in member.advisor.
CREATE TABLE member_advisor (
    advisor_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id   uuid NOT NULL REFERENCES member ON DELETE CASCADE,
    advisor     text NOT NULL,
    from_at     timestamptz NOT NULL,
    until_at    timestamptz CHECK (until_at >= from_at),
    assigned_by text NOT NULL,
    reason      text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX member_advisor_open ON member_advisor (member_id) WHERE until_at IS NULL;
CREATE INDEX member_advisor_member ON member_advisor (member_id);

CREATE TABLE member_tag (
    member_id uuid NOT NULL REFERENCES member ON DELETE CASCADE,
    tag       text NOT NULL,
    tagged_by text NOT NULL,
    tagged_at timestamptz NOT NULL,
    PRIMARY KEY (member_id, tag)
);
CREATE INDEX member_tag_tag ON member_tag (tag);

-- What is noted of a member, and what was put beside it. An audience of 'store' is whoever may see the member.
CREATE TABLE member_note (
    note_id    uuid PRIMARY KEY,
    member_id  uuid NOT NULL REFERENCES member ON DELETE CASCADE,
    audience   text NOT NULL CHECK (audience IN ('store', 'hq')),
    key_id     text NOT NULL,
    text_enc   bytea NOT NULL,
    written_by text NOT NULL,
    written_at timestamptz NOT NULL
);
CREATE INDEX member_note_member ON member_note (member_id, written_at);

CREATE TABLE member_attachment (
    attachment_id uuid PRIMARY KEY,
    member_id     uuid NOT NULL REFERENCES member ON DELETE CASCADE,
    audience      text NOT NULL CHECK (audience IN ('store', 'hq')),
    key_id        text NOT NULL,
    name_enc      bytea NOT NULL,
    media_type    text NOT NULL,
    size          integer NOT NULL CHECK (size > 0),
    content_enc   bytea NOT NULL,
    added_by      text NOT NULL,
    added_at      timestamptz NOT NULL
);
CREATE INDEX member_attachment_member ON member_attachment (member_id, added_at);

-- The proof that a member was erased: what was removed, what was kept and why, what the books said before and after.
CREATE TABLE member_erasure (
    erasure_id uuid PRIMARY KEY,
    member_id  uuid NOT NULL REFERENCES member,
    erased_by  text NOT NULL,
    erased_at  timestamptz NOT NULL,
    reason     text NOT NULL,
    receipt    jsonb NOT NULL,
    signature  bytea NOT NULL,
    key_id     text NOT NULL
);
CREATE INDEX member_erasure_member ON member_erasure (member_id);

-- For how many days something is kept; what has no row is kept until somebody asks.
CREATE TABLE member_rule (
    rule   text PRIMARY KEY CHECK (rule IN ('inactive', 'notes', 'attachments', 'old_phones', 'links')),
    days   integer NOT NULL CHECK (days >= 30),
    set_by text NOT NULL,
    set_at timestamptz NOT NULL
);

-- A person who was enrolled twice is one member.
CREATE OR REPLACE VIEW bi.members AS
SELECT
    m.home_store AS store_id,
    (m.enrolled_at AT TIME ZONE
        (SELECT c.timezone FROM store_calendar c WHERE c.store_id = m.home_store AND c.valid_from <= m.enrolled_at::date
         ORDER BY c.valid_from DESC LIMIT 1))::date AS day,
    m.tier,
    count(*) AS members
FROM member m
WHERE m.erased_at IS NULL AND m.merged_into IS NULL
GROUP BY 1, 2, 3;
