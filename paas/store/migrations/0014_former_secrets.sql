-- What secrets said before they were changed or deleted: logs of that time are still shown, without them.
CREATE TABLE former_secrets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL, -- as in variables, which the boxes come from
    name TEXT NOT NULL,
    app_id TEXT NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    deployment_id TEXT REFERENCES deployments (id) ON DELETE CASCADE,
    key_id TEXT NOT NULL,
    sealed_value BLOB NOT NULL
) STRICT;
CREATE INDEX former_secrets_by_owner ON former_secrets (owner, name);
CREATE INDEX former_secrets_by_app ON former_secrets (app_id);
CREATE INDEX former_secrets_by_deployment ON former_secrets (deployment_id) WHERE deployment_id IS NOT NULL;
