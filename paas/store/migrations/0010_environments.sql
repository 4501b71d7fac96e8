-- The first label of the host of an environment; NULL where another app had that host before there were such.
ALTER TABLE environments ADD COLUMN label TEXT;
ALTER TABLE environments ADD COLUMN pull_request INTEGER;
UPDATE environments SET label = (
    SELECT CASE
        WHEN length(a.subdomain) + 1 + length(slug) <= 63 THEN a.subdomain || '-' || slug
        ELSE substr(a.subdomain, 1, 53 - length(slug)) || '-' || substr(a.id, 1, 8) || '-' || slug
    END
    FROM apps a WHERE a.id = environments.app_id AND a.deleted_at IS NULL
);
UPDATE environments SET label = NULL
WHERE label IN (SELECT subdomain FROM apps WHERE deleted_at IS NULL)
    OR EXISTS (
        SELECT 1 FROM environments e WHERE e.label = environments.label
        AND (e.created_at, e.app_id, e.slug) < (environments.created_at, environments.app_id, environments.slug)
    );
CREATE UNIQUE INDEX environments_by_label ON environments (label) WHERE label IS NOT NULL;
