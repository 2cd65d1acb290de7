"""The fitting visit: an officer puts the right tag on the right person. See docs/fitting.md.

``line`` is the serial line, ``console`` what is said on it, ``ports`` who is there at all; ``journal`` is what is
written down of a visit while it goes on; ``steps`` are its steps, ``visit`` carries them out, ``record`` is what stays.
"""

from gateway.fitting.stops import Stop
from gateway.fitting.visit import Asked, Fitted, fit

__all__ = ["Asked", "Fitted", "Stop", "fit"]
