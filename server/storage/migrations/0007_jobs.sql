-- Every run of a job by the clock, so that a person can see what ran, when, and how it ended. Runs in a row that found
-- nothing to do share one row and are counted in it: a look every ten seconds would bury the runs that did something.
CREATE TABLE job_run (
    run_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job         text NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    outcome     text NOT NULL DEFAULT 'running' CHECK (outcome IN ('running', 'done', 'idle', 'failed')),
    runs        integer NOT NULL DEFAULT 1 CHECK (runs >= 1),
    detail      text NOT NULL DEFAULT ''
);
CREATE INDEX job_run_job ON job_run (job, started_at DESC);
