"""One module a revision, oldest first; a released revision is never changed."""
