"""Configuration: what an admin writes, checked whole, then turned into the frozen values of each room.

    model    the pydantic model of filterd.yaml with its defaults
    upstreams, encrypted   what is written of upstreams and of encrypted DNS -> values
    load     read and verify a file; every error names file, line, column and remedy
    paths    where state and shipped files are

Only app.py and cli.py read configuration; rooms get values.
"""
