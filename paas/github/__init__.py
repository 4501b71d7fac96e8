"""GitHub: what its deliveries say, and what it is told in return."""
