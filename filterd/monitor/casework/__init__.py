"""Paperwork that people do: schools, facts of a month, review requests, submissions, cases and their notices.

Every change names a person and stands in the audit log, in the same transaction. Nothing here decides by
itself, sends anything to Kibernadzor, or takes what could name a pupil.
"""
