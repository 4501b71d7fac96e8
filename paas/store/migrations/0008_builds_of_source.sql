-- Builds of any source: archives and Git repositories, to images and to artifacts, followed by a deployment.
CREATE TABLE builds_of_source (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    reason TEXT,
    source TEXT NOT NULL,
    options TEXT NOT NULL,
    environment TEXT NOT NULL,
    rollout TEXT,
    recipe TEXT,
    fingerprint TEXT,
    reused_build_id TEXT, -- which may be gone
    artifact_id TEXT, -- likewise
    image TEXT,
    image_id TEXT,
    image_bytes INTEGER,
    deployment_id TEXT, -- likewise
    created_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    updated_at REAL NOT NULL
) STRICT;

INSERT INTO builds_of_source
    SELECT id, app_id, state, reason,
        json_object('kind', 'archive', 'sha256', context_sha256, 'size_bytes', context_bytes),
        options, 'development', NULL, 'dockerfile', NULL, NULL, NULL, image, image_id, image_bytes, NULL,
        created_at, started_at, ended_at, updated_at
    FROM builds;
DROP TABLE builds;
ALTER TABLE builds_of_source RENAME TO builds;

CREATE INDEX builds_by_app ON builds (app_id, created_at);
CREATE INDEX builds_by_state ON builds (state);
CREATE INDEX builds_by_fingerprint ON builds (app_id, fingerprint) WHERE fingerprint IS NOT NULL;
CREATE INDEX builds_by_artifact ON builds (artifact_id) WHERE artifact_id IS NOT NULL;

ALTER TABLE deployments ADD COLUMN build_id TEXT; -- whose result it runs; the build may be gone
CREATE INDEX deployments_by_build ON deployments (build_id) WHERE build_id IS NOT NULL;
