"""Who executes: the paper broker, and what waits for an account without a connection."""
