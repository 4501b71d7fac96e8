CREATE TABLE builds (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    reason TEXT,
    options TEXT NOT NULL,
    context_sha256 TEXT NOT NULL,
    context_bytes INTEGER NOT NULL,
    image TEXT,
    image_id TEXT,
    image_bytes INTEGER,
    created_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    updated_at REAL NOT NULL
) STRICT;
CREATE INDEX builds_by_app ON builds (app_id, created_at);
CREATE INDEX builds_by_state ON builds (state);

-- What builds left in the engine under no name: kept a while as its cache, then deleted.
CREATE TABLE build_layers (
    place INTEGER PRIMARY KEY AUTOINCREMENT, -- a layer is made after the one below it
    image_id TEXT NOT NULL UNIQUE,
    made_at REAL NOT NULL
) STRICT;
