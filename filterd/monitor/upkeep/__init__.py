"""What the endpoint does by itself in the background: forgetting in time."""
