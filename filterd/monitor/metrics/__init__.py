"""What Prometheus scrapes, under bounded labels that never hold a name, a client or a pseudonym."""
