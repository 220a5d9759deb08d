CREATE TABLE launch.queues (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    -- What an administrator says of it, as JSON; and what a lease has to know of that.
    settings text,
    paused boolean NOT NULL DEFAULT false
);

-- Rows are kept small and specs apart, since a change of any column writes the whole row.
-- Times are milliseconds since 1970, by the clock of this server alone.
CREATE TABLE launch.jobs (
    -- Age: the order of enqueueing.
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    queue text COLLATE "C" NOT NULL,
    priority smallint NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('waiting', 'leased', 'ended')),
    -- A job that is not ready has a moment at which it becomes so: the end of its
    -- not-before time, or of its lease. A job that has ended has neither.
    ready boolean NOT NULL,
    due_at bigint,
    attempt integer NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,
    -- The newest hold is in force or has ended the job; false after it put the job back.
    held boolean NOT NULL DEFAULT false,
    worker text COLLATE "C",
    cancel_requested boolean NOT NULL DEFAULT false,
    enqueued_at bigint NOT NULL,
    ended_at bigint,
    outcome text,
    -- How many reports were ever made: the number of the newest.
    reports integer NOT NULL DEFAULT 0,
    CHECK (ready::int + (due_at IS NOT NULL)::int + (state = 'ended')::int = 1)
)
-- Every lease leaves a dead row behind; they must go before an index scan meets many.
WITH (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02
);

-- What a lease looks at: one seek per queue and priority, whatever else the table holds.
CREATE INDEX jobs_ready ON launch.jobs (queue, priority, seq) WHERE ready;

-- What becomes ready next.
CREATE INDEX jobs_due ON launch.jobs (due_at) WHERE due_at IS NOT NULL;

-- What a worker holds: a restarted agent asks for what its dead self held.
CREATE INDEX jobs_held ON launch.jobs (worker, seq) WHERE state = 'leased';

-- Listings, newest first.
CREATE INDEX jobs_queue ON launch.jobs (queue, seq);

-- What has ended long ago, and may be forgotten.
CREATE INDEX jobs_ended ON launch.jobs (ended_at) WHERE state = 'ended';

CREATE TABLE launch.specs (
    job bigint NOT NULL PRIMARY KEY REFERENCES launch.jobs ON DELETE CASCADE,
    spec text NOT NULL
);

CREATE TABLE launch.reports (
    job bigint NOT NULL REFERENCES launch.jobs ON DELETE CASCADE,
    number integer NOT NULL,
    report text NOT NULL,
    PRIMARY KEY (job, number)
);

-- The server's time, unless a test brings its own.
CREATE FUNCTION launch.moment(given bigint) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT coalesce(given, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
$$;

-- Marks what is due as ready. Every job is made ready at most once per wait and per
-- lease, so this costs what became due since the last call, not what waits.
CREATE FUNCTION launch.make_ready(given bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint := launch.moment(given);
    made bigint;
BEGIN
    LOOP
        UPDATE launch.jobs SET ready = true, due_at = NULL WHERE seq IN (
            SELECT due.seq FROM launch.jobs AS due WHERE due.due_at <= now_ms
            ORDER BY due.due_at LIMIT 1000 FOR UPDATE SKIP LOCKED
        );
        GET DIAGNOSTICS made = ROW_COUNT;
        EXIT WHEN made < 1000;
    END LOOP;
END
$$;

-- The queues that give jobs out, in the order asked.
CREATE FUNCTION launch.not_paused(asked text[]) RETURNS text[] LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(one.name ORDER BY one.place), '{}')
    FROM unnest(asked) WITH ORDINALITY AS one (name, place)
    WHERE NOT EXISTS (
        SELECT 1 FROM launch.queues WHERE queues.name = one.name AND queues.paused
    )
$$;

-- The most urgent ready job, of equals that of the earlier queue, of these the oldest.
-- A job that another transaction is taking is passed over; exactly one row is locked.
CREATE FUNCTION launch.most_urgent(asked text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    open_queues text[] := launch.not_paused(asked);
    level smallint;
    queue_name text;
    chosen bigint;
BEGIN
    FOR level IN 0..3 LOOP
        FOREACH queue_name IN ARRAY open_queues LOOP
            SELECT seq INTO chosen FROM launch.jobs
            WHERE ready AND queue = queue_name AND priority = level
            ORDER BY seq LIMIT 1 FOR UPDATE SKIP LOCKED;
            IF FOUND THEN RETURN chosen; END IF;
        END LOOP;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE FUNCTION launch.lease(asked text[], worker_name text, ttl_ms bigint, only_id text, given bigint)
RETURNS TABLE (
    id text, queue text, priority smallint, attempt integer, spec text,
    fence bigint, cancel_requested boolean
) LANGUAGE plpgsql AS $$
DECLARE
    chosen bigint;
BEGIN
    IF only_id IS NULL THEN
        chosen := launch.most_urgent(asked);
    ELSE
        SELECT job.seq INTO chosen FROM launch.jobs AS job
        WHERE job.id = only_id AND job.ready AND job.queue = ANY (launch.not_paused(asked))
        FOR UPDATE;
    END IF;
    RETURN QUERY
    WITH taken AS (
        UPDATE launch.jobs AS job
        SET state = 'leased', ready = false, due_at = launch.moment(given) + ttl_ms,
            fence = job.fence + 1, held = true, worker = worker_name
        WHERE job.seq = chosen
        RETURNING job.*
    )
    SELECT taken.id, taken.queue, taken.priority, taken.attempt, specs.spec,
        taken.fence, taken.cancel_requested
    FROM taken JOIN launch.specs ON specs.job = taken.seq;
END
$$;
