-- Refunds are looked up by the sale they name: whose they are, what goods that come back cost, whether a sale stands.
CREATE INDEX receipt_refund ON receipt (store_id, refers_to) WHERE kind = 'refund';

-- What was never sold can't be given back: a refund of a voided sale is void with it, and its day has to be made anew.
WITH gone AS (
    UPDATE receipt AS r
    SET voided_at = s.voided_at
    FROM receipt AS s
    WHERE r.kind = 'refund' AND r.voided_at IS NULL
      AND s.store_id = r.store_id AND s.receipt_no = r.refers_to AND s.kind = 'sale' AND s.voided_at IS NOT NULL
    RETURNING r.store_id, r.at
)
INSERT INTO dirty_mark (store_id, hour, reason)
SELECT DISTINCT store_id, date_trunc('hour', at, 'UTC'), 'receipt' FROM gone;

-- Where a member stood before a merge gave them the other's tier, for when the merge is undone; of other changes nobody
-- needs it.
ALTER TABLE tier_change
    ADD COLUMN was_since timestamptz,
    ADD COLUMN was_period_end timestamptz,
    ADD COLUMN was_grace_until timestamptz,
    DROP CONSTRAINT tier_change_why_check,
    ADD CONSTRAINT tier_change_why_check CHECK (why IN ('earned', 'period', 'given', 'merged', 'parted'));

-- Who makes the top 20% and the bottom 30% of last night's buyers; NULL is whoever lies between, and who bought nothing.
ALTER TABLE member_value ADD COLUMN band text CHECK (band IN ('top', 'bottom'));
CREATE INDEX member_value_by_band ON member_value (band, value) WHERE band IS NOT NULL;
