-- Setting a chain up, and looking into the audit trail by who, what and when.

-- The first hour's guide is shown to administrators until all its steps are done, or one of them puts it away. One row.
CREATE TABLE setup_closed (
    one       boolean PRIMARY KEY DEFAULT true CHECK (one),
    closed_by text NOT NULL,
    closed_at timestamptz NOT NULL
);

-- Newest first of one person, of one thing, or of one kind of doing; each is asked for alone or with a span of time.
CREATE INDEX audit_actor ON audit (actor, audit_id);
CREATE INDEX audit_subject ON audit (subject, audit_id);
CREATE INDEX audit_action ON audit (action text_pattern_ops, audit_id);
