-- Whether the agent needs its container engine is asked at every start, over thousands of deployments.
CREATE INDEX deployments_of_containers ON deployments (id) WHERE json_extract(spec, '$.process_type') = 'docker';
