-- What desks wrote down while their network was away. The envelope is kept as it came, sealed to this server, and only
-- while somebody has to look at it.
CREATE TABLE desk_item (
    item_id       uuid PRIMARY KEY,
    user_id       text NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('enrolment', 'check_in')),
    made_at       timestamptz NOT NULL,
    first_sent_at timestamptz NOT NULL,
    taken_at      timestamptz,                        -- NULL while it is being taken
    outcome       text CHECK (outcome IN ('done', 'known', 'refused')),
    member_id     uuid,
    problem_field text NOT NULL DEFAULT '',
    problem       text NOT NULL DEFAULT '',
    made_text     text NOT NULL,                      -- as it is bound to the seal
    key_id        text NOT NULL,
    sealed        bytea,
    settled_at    timestamptz,
    CHECK ((taken_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX desk_item_open ON desk_item (user_id) WHERE outcome <> 'done' AND settled_at IS NULL;
CREATE INDEX desk_item_taken ON desk_item (taken_at);
