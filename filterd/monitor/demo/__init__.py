"""A made-up month of a district, so that pages, dashboards and reports can be seen before there are data.

Everything bears the word demonstration: ids begin with ``demo-``, titles say so, the store has a mark. Names
of sites end in ``.example`` (RFC 2606): nothing real is accused. It never touches a store with data.
"""
