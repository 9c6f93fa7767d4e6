-- Files that are brought in again, and rows of them that are given back.

-- What tier a file gave a member: the same file again gives it no second time, wherever the member has moved meanwhile.
-- Named by the member, whom an erasure leaves as a number; what was given before there was this table is in the changes.
CREATE TABLE member_brought_tier (
    member_id uuid PRIMARY KEY,
    tier      text NOT NULL,
    given_at  timestamptz NOT NULL
);
INSERT INTO member_brought_tier (member_id, tier, given_at)
SELECT DISTINCT ON (member_id) member_id, to_tier, at
FROM tier_change
WHERE why = 'given' AND reason = 'brought along'
ORDER BY member_id, at DESC, change_id DESC;

-- Who sends a workbook gets a workbook back.
ALTER TABLE sales_import
    ADD COLUMN is_workbook boolean NOT NULL DEFAULT false;
ALTER TABLE member_import
    ADD COLUMN is_workbook boolean NOT NULL DEFAULT false,
    ADD COLUMN tiers_left bigint NOT NULL DEFAULT 0;

-- A kind of event is two words with a point between. Asked of every receipt of a file, a regular expression took a tenth
-- of the database's time in writing it; this is the same question for what programs write.
ALTER TABLE event
    DROP CONSTRAINT event_kind_check,
    ADD CONSTRAINT event_kind_check CHECK (kind LIKE '_%._%' AND kind = lower(kind) AND strpos(kind, ' ') = 0);
