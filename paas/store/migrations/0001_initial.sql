CREATE TABLE apps (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    namespace TEXT NOT NULL,
    subdomain TEXT NOT NULL,
    description TEXT,
    labels TEXT NOT NULL,
    default_deployment_spec TEXT,
    wake_policy TEXT NOT NULL,
    last_version INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    deleted_at REAL
) STRICT;
CREATE UNIQUE INDEX apps_by_subdomain ON apps (subdomain) WHERE deleted_at IS NULL;
CREATE INDEX apps_by_name ON apps (namespace, name);

CREATE TABLE environments (
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    slug TEXT NOT NULL,
    current_deployment_id TEXT,
    created_at REAL NOT NULL,
    PRIMARY KEY (app_id, slug)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    content_type TEXT NOT NULL,
    size_bytes INTEGER,
    sha256 TEXT,
    created_at REAL NOT NULL,
    uploaded_at REAL
) STRICT;
CREATE INDEX artifacts_by_sha256 ON artifacts (sha256);

CREATE TABLE deployments (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    sha TEXT NOT NULL,
    version INTEGER NOT NULL,
    environment TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    spec TEXT NOT NULL,
    revision INTEGER NOT NULL,
    artifact_id TEXT,
    command TEXT,
    slept_at REAL NOT NULL,
    woken_at REAL NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    UNIQUE (app_id, version)
) STRICT;
CREATE INDEX deployments_by_state ON deployments (state);
CREATE INDEX deployments_by_artifact ON deployments (artifact_id);

CREATE TABLE tasks (
    id TEXT PRIMARY KEY,
    deployment_id TEXT NOT NULL REFERENCES deployments (id) ON DELETE CASCADE,
    revision INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    port INTEGER,
    exit_code INTEGER,
    crashed INTEGER NOT NULL DEFAULT 0,
    stop_requested INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    started_at REAL,
    ready_at REAL,
    ended_at REAL,
    updated_at REAL NOT NULL
) STRICT;
CREATE INDEX tasks_by_deployment ON tasks (deployment_id, state);
CREATE INDEX tasks_ended ON tasks (deployment_id, ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX tasks_by_state ON tasks (state);

CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    app_id TEXT,
    deployment_id TEXT,
    task_id TEXT,
    reason TEXT,
    facts TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_app ON events (app_id, seq);
CREATE INDEX events_by_deployment ON events (deployment_id, seq);

CREATE TABLE idempotency_keys (
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    request_sha256 TEXT NOT NULL,
    deployment_id TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (app_id, key)
) STRICT, WITHOUT ROWID;
