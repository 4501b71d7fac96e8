CREATE TABLE tcp_ports (
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    environment TEXT NOT NULL,
    port INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (app_id, environment)
) STRICT, WITHOUT ROWID;
