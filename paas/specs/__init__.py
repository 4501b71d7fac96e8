"""What may be said of a deployment: field by field, and from that to a complete spec."""
