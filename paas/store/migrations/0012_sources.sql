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
