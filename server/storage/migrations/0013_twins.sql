-- Two boxes under one name (a memory card that was copied): each start has an epoch of its own, and one that was followed
-- by another never comes back, unless both are alive.
ALTER TABLE device
    -- Epochs the box called its live one, the newest last; some of them.
    ADD COLUMN live_epochs text[] NOT NULL DEFAULT '{}',
    -- The box's own time of the status that named the newest.
    ADD COLUMN live_at     timestamptz,
    -- When two were last heard under this name.
    ADD COLUMN twin_at     timestamptz;
