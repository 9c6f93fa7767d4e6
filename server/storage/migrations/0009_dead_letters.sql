-- Dead letters are worked off by people: what a letter speaks of, what became of it, by whom and why.

-- `starts_at` to `ends_at` is the time the letter speaks of, where it still tells. A letter ends once: it is booked by
-- a retry, or dropped by somebody who says why.
ALTER TABLE dead_letter
    ADD COLUMN starts_at   timestamptz,
    ADD COLUMN ends_at     timestamptz CHECK (ends_at >= starts_at),
    ADD COLUMN tries       integer NOT NULL DEFAULT 0,
    ADD COLUMN settled_by  text NOT NULL DEFAULT '',
    ADD COLUMN drop_reason text NOT NULL DEFAULT '',
    ADD CONSTRAINT dead_letter_ends_once CHECK (retried_at IS NULL OR dropped_at IS NULL),
    ADD CONSTRAINT dead_letter_drop_has_reason CHECK (dropped_at IS NULL OR drop_reason <> '');
CREATE INDEX dead_letter_open ON dead_letter (store_id, dead_letter_id)
    WHERE retried_at IS NULL AND dropped_at IS NULL;

-- What a retry books of a tally is added to the row of the part that was booked before.
CREATE INDEX tally_number ON tally (device_id, epoch, seq);
