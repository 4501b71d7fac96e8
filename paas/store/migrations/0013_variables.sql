-- What tasks are told beside what the agent sets. Every value is sealed, whether it is a secret or not.
CREATE TABLE variables (
    owner TEXT NOT NULL, -- whose it is, and what its box is bound to: VariableOwner.key
    name TEXT NOT NULL,
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    environment TEXT, -- of one at the level of an environment
    deployment_id TEXT REFERENCES deployments (id) ON DELETE CASCADE, -- of a deployment's own
    is_secret INTEGER NOT NULL,
    key_id TEXT,
    sealed_value BLOB, -- NULL: what a lower level sets is taken away
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    PRIMARY KEY (owner, name),
    FOREIGN KEY (app_id, environment) REFERENCES environments (app_id, slug) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX variables_by_app ON variables (app_id, environment);
CREATE INDEX variables_by_deployment ON variables (deployment_id) WHERE deployment_id IS NOT NULL;

-- A request that sets variables is recognised by a digest, from which they could be guessed.
ALTER TABLE idempotency_keys ADD COLUMN key_id TEXT;
ALTER TABLE idempotency_keys ADD COLUMN sealed_request BLOB;

-- What an earlier version wrote down unsealed. The agent seals it at its next start; `pages` stays until
-- what the file held of it is overwritten, too.
CREATE TABLE unsealed (
    place TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
INSERT INTO unsealed SELECT 'default:' || id FROM apps
    WHERE json_extract(default_deployment_spec, '$.env') IS NOT NULL;
INSERT INTO unsealed SELECT 'deployment:' || id FROM deployments WHERE json_extract(spec, '$.env') != '{}';
INSERT INTO unsealed SELECT 'requests' WHERE EXISTS (SELECT 1 FROM idempotency_keys);
INSERT INTO unsealed SELECT 'pages' WHERE EXISTS (SELECT 1 FROM deployments)
    OR EXISTS (SELECT 1 FROM unsealed);
