"""The fitting visit: an officer puts the right tag on the right person. See docs/fitting.md.

``line`` is the serial line, ``console`` what is said on it, ``ports`` who is there at all; ``journal`` is what is
written down of a visit while it goes on; ``visit`` carries out the steps, ``record`` is what stays. ``desk`` is what
it asks of a gateway: on the gateway's own box (``local_desk``) or elsewhere (``remote_desk``).
"""

from gateway.fitting.stops import Stop
from gateway.fitting.visit import Asked, Fitted, finish, fit, visit

__all__ = ["Asked", "Fitted", "Stop", "finish", "fit", "visit"]
