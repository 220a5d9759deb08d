-- A lease reads what it takes, however many jobs wait.

-- One seek per queue and priority, whatever else the table holds. No other index has its
-- order, by an expression instead of `seq`: else a planner that does not know which priorities
-- there are reads all jobs by age to find that one has none.
DROP INDEX launch.jobs_ready;
CREATE INDEX jobs_ready ON launch.jobs (queue, priority, (seq + 0)) WHERE ready;

-- The most urgent ready job, of equals that of the earlier queue, of these the oldest.
-- A job that another transaction is taking is passed over; exactly one row is locked.
CREATE OR REPLACE FUNCTION launch.most_urgent(asked text[]) RETURNS bigint LANGUAGE plpgsql AS $$
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
            ORDER BY seq + 0 LIMIT 1 FOR UPDATE SKIP LOCKED;
            IF FOUND THEN RETURN chosen; END IF;
        END LOOP;
    END LOOP;
    RETURN NULL;
END
$$;
