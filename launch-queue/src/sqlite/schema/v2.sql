-- What an administrator says of a queue, as JSON; and what a lease has to know of it.
ALTER TABLE queues ADD COLUMN settings TEXT;
ALTER TABLE queues ADD COLUMN paused INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1));
