"""The endpoint with something broken around it; helpers stand beside the tests."""

from __future__ import annotations

import sys
from pathlib import Path

# With import mode "importlib" this folder is on no path.
sys.path.insert(0, str(Path(__file__).parent))
