CREATE TABLE source_configs (
    app_id TEXT PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    repository_url TEXT NOT NULL,
    repository TEXT NOT NULL, -- host/owner/name in lower case: what a webhook is matched by
    branch TEXT NOT NULL,
    path TEXT NOT NULL,
    auto_deploy INTEGER NOT NULL,
    previews INTEGER NOT NULL,
    environment TEXT NOT NULL,
    token_key_id TEXT,
    sealed_token BLOB,
    secret_key_id TEXT,
    sealed_secret BLOB,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX source_configs_by_repository ON source_configs (repository);

-- What webhooks brought, and what came of it: a delivery that is repeated gets the same answer and changes nothing.
CREATE TABLE deliveries (
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    id TEXT NOT NULL, -- as its sender counts it
    outcome TEXT NOT NULL,
    received_at REAL NOT NULL,
    PRIMARY KEY (app_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_by_age ON deliveries (received_at);

-- Of what in the repository a build is, where a source config asked for it.
CREATE TABLE source_builds (
    build_id TEXT PRIMARY KEY REFERENCES builds (id) ON DELETE CASCADE,
    app_id TEXT NOT NULL,
    branch TEXT NOT NULL,
    pull_request INTEGER,
    trigger_key TEXT, -- by which a repeated request is known
    request_sha256 TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX source_builds_by_app ON source_builds (app_id);
CREATE UNIQUE INDEX source_builds_by_key ON source_builds (app_id, trigger_key) WHERE trigger_key IS NOT NULL;

-- What GitHub is to be told, and what it was told last: how a commit fares, or where a pull request's preview is.
CREATE TABLE reports (
    id INTEGER PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    build_id TEXT UNIQUE REFERENCES builds (id) ON DELETE CASCADE, -- of the commit; NULL: it is about a preview
    commit_id TEXT,
    pull_request INTEGER,
    comment_id INTEGER, -- where it is told of the preview
    told TEXT,
    attempts INTEGER NOT NULL DEFAULT 0, -- that failed since something was last told
    failing_since REAL,
    try_at REAL NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX reports_by_pull_request ON reports (app_id, pull_request) WHERE build_id IS NULL;
