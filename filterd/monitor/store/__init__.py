"""The store: engines, schema, migrations and transactions; knows no delivery, no page and no metric."""
