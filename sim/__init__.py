"""The simulator. Its kernels, and those of the core, are compiled from these sources (`gateway.kernels`)."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gateway import kernels

# numba would not notice that a kernel which another one calls has changed in its own file
os.environ.update(kernels.environment(None, above=Path(__file__).parent))
if "numba" in sys.modules:
    sys.modules["numba"].config.reload_config()
