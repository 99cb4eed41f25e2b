"""Bytes of a delivery -> checked batches -> rows -> one transaction; knows no HTTP."""
