-- What has ended long ago, and may be forgotten.
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE state = 'ended';

-- Held jobs that somebody asked to stop: few, and asked for every second.
CREATE INDEX jobs_cancelled ON jobs (id) WHERE state = 'leased' AND cancel_requested = 1;
