ALTER TABLE tasks ADD COLUMN process TEXT NOT NULL DEFAULT 'web';
ALTER TABLE deployments ADD COLUMN processes TEXT;
ALTER TABLE deployments ADD COLUMN release TEXT;
-- A wake reads the last few tasks of each process: most deployments have none of these.
CREATE INDEX tasks_beside_web ON tasks (deployment_id, ended_at) WHERE process <> 'web' AND ended_at IS NOT NULL;
