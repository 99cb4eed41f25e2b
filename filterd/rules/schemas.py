"""JSON Schema of the files that people write, from the models that check them; for editors.

The written copies are in policies/schema/; a test holds that they are current.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from filterd.rules.assertions import Assertions
from filterd.rules.layers import Baseline, Region, School

MODELS: dict[str, type[BaseModel]] = {
    "baseline": Baseline,
    "region": Region,
    "school": School,
    "tests": Assertions,
}
"""By the name of the schema's file."""


def schema(name: str) -> dict[str, Any]:
    """Return the schema of a kind of file.

    Raises:
        KeyError: no such kind.
    """
    made = MODELS[name].model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
