-- Tiers: rules in versions, where each member stands and until when, and every change there was. member.tier goes on being
-- the tier of today, which lists and reports read; whoever changes it writes a change.

CREATE TABLE tier_rules (
    version    integer PRIMARY KEY,
    valid_from timestamptz NOT NULL UNIQUE,
    body       jsonb NOT NULL,
    reason     text NOT NULL CHECK (reason <> ''),
    made_by    text NOT NULL,
    made_at    timestamptz NOT NULL
);

-- Who is above the lowest tier, or was once. `period_end` is when it is looked at whether the tier was earned again (NULL:
-- never until rules come to say so), `grace_until` until when it is kept although it was not.
CREATE TABLE tier_standing (
    member_id     uuid PRIMARY KEY,
    tier          text NOT NULL,
    since         timestamptz NOT NULL,
    period_end    timestamptz,
    grace_until   timestamptz CHECK (grace_until >= period_end),
    rules_version integer NOT NULL
);
CREATE INDEX tier_standing_due ON tier_standing (coalesce(grace_until, period_end));

CREATE TABLE tier_change (
    change_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    member_id     uuid NOT NULL,
    from_tier     text NOT NULL,
    to_tier       text NOT NULL CHECK (to_tier <> from_tier),
    at            timestamptz NOT NULL,
    why           text NOT NULL CHECK (why IN ('earned', 'period', 'given', 'merged')),
    rules_version integer NOT NULL,
    actor         text NOT NULL,
    reason        text
);
CREATE INDEX tier_change_member ON tier_change (member_id, at);

-- What members are called today stays: the tiers there are become levels that are given by hand and not earned, until HQ
-- saves rules of its own. Who has one keeps it, and nothing runs out.
INSERT INTO tier_rules (version, valid_from, body, reason, made_by, made_at)
SELECT 1, '2000-01-01Z',
       jsonb_build_object(
           'currency', 'CNY',
           'levels', jsonb_agg(jsonb_build_object('slug', tier) ORDER BY tier <> 'member', tier)),
       'the tiers that members had before there were rules', 'migration', now()
FROM (SELECT 'member' AS tier UNION SELECT tier FROM member) AS tiers;
INSERT INTO tier_standing (member_id, tier, since, rules_version)
SELECT member_id, tier, enrolled_at, 1 FROM member WHERE tier <> 'member' AND erased_at IS NULL;

CREATE TRIGGER tier_rules_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON tier_rules
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE tier_rules ENABLE ALWAYS TRIGGER tier_rules_only_added;
