CREATE TABLE queues (
    name TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Rows are kept small and specs apart, since a change of any column writes the whole row.
-- Times are milliseconds since 1970.
CREATE TABLE jobs (
    -- Age: the order of enqueueing. AUTOINCREMENT never gives a number twice.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'leased', 'ended')),
    -- A job that is not ready has a moment at which it becomes so: the end of its
    -- not-before time, or of its lease. A job that has ended has neither.
    ready INTEGER NOT NULL CHECK (ready IN (0, 1)),
    due_at INTEGER,
    attempt INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    -- The newest hold is in force or has ended the job; 0 after it put the job back.
    held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
    worker TEXT,
    cancel_requested INTEGER NOT NULL DEFAULT 0 CHECK (cancel_requested IN (0, 1)),
    enqueued_at INTEGER NOT NULL,
    ended_at INTEGER,
    outcome TEXT,
    CHECK ((ready = 1) + (due_at IS NOT NULL) + (state = 'ended') = 1)
) STRICT;

-- What a lease looks at: one seek per queue, whatever else the file holds. `seq` is the
-- last column of every index.
CREATE INDEX jobs_ready ON jobs (queue, priority) WHERE ready = 1;

-- What becomes ready next.
CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;

-- What a worker holds: a restarted agent asks for what its dead self held.
CREATE INDEX jobs_held ON jobs (worker) WHERE state = 'leased';

-- Listings, newest first, and counts by state without touching the rows.
CREATE INDEX jobs_queue ON jobs (queue, seq, state);

CREATE TABLE specs (
    job INTEGER PRIMARY KEY,
    spec TEXT NOT NULL
) STRICT;

CREATE TABLE reports (
    job INTEGER NOT NULL,
    number INTEGER NOT NULL,
    report TEXT NOT NULL,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
