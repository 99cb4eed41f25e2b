"""Who may do what at the endpoint; pure decisions about callers, never a socket."""
