"""Types of fields that several kinds of files share; nothing else."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

Identifier = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=400, strip_whitespace=True)]
NameText = Annotated[
    str, StringConstraints(min_length=1, max_length=1100)
]  # a domain name, all of it escaped
