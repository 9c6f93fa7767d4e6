-- Files of members that are brought in, watched from a page: how far each is, and what was not taken of it.
CREATE TABLE member_import (
    import_id       uuid PRIMARY KEY,
    store_id        text NOT NULL REFERENCES store,
    file_name       text NOT NULL,
    state           text NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
    dry_run         boolean NOT NULL,
    rows            bigint NOT NULL DEFAULT 0,
    enrolled        bigint NOT NULL DEFAULT 0,
    known           bigint NOT NULL DEFAULT 0,
    opened          bigint NOT NULL DEFAULT 0,
    duplicate_count bigint NOT NULL DEFAULT 0,
    error_count     bigint NOT NULL DEFAULT 0,
    reason          text NOT NULL DEFAULT '',
    cancel_asked    boolean NOT NULL DEFAULT false,
    header          text[] NOT NULL DEFAULT '{}',
    delimiter       text NOT NULL DEFAULT ',',
    started_by      text NOT NULL,
    started_at      timestamptz NOT NULL,
    seen_at         timestamptz NOT NULL,
    finished_at     timestamptz
);
CREATE INDEX member_import_by_time ON member_import (started_at DESC);

-- Rows that were not taken, with what was in them (encrypted: names and numbers), to be corrected and sent again.
CREATE TABLE member_import_error (
    import_id uuid NOT NULL REFERENCES member_import ON DELETE CASCADE,
    line      bigint NOT NULL,
    field     text,
    reason    text NOT NULL,
    remedy    text NOT NULL,
    cells     bytea NOT NULL
);
CREATE INDEX member_import_error_by_line ON member_import_error (import_id, line);

-- How the files of an old system are read: our columns to its headers, said once and then by its name.
CREATE TABLE member_format (
    name       text PRIMARY KEY,
    columns    jsonb NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL
);
