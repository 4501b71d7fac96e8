"""The Docker engine as a service: the connection to it, and its images. Knows nothing of tasks."""
