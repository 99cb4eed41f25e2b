"""The store's schema through time (Alembic); run by engine.py at start, never by hand on a school's box."""
