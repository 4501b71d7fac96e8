CREATE TABLE registries (
    host TEXT PRIMARY KEY,
    username TEXT NOT NULL,
    key_id TEXT NOT NULL,
    sealed_password BLOB NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
