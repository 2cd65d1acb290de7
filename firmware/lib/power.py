"""Whether the processor may sleep lightly until something is next due: pure, in integers.

In light sleep RAM stays and time goes on, but the serial lines are deaf. So there is none while the receiver talks, an
answer is due over the modem, or an officer's tool is on the console; nor for a while after any of them, or after the
modem has rung. Pins that wake the processor are the board's concern.
"""

# who needs the processor awake: bits
RECEIVER, ANSWER, TOOL = 1, 2, 4
# Falling asleep and waking up take some 2 ms, and each time the loop turns once more.
LEAST_MS = 20
# What the modem hands on while it rings is lost; whoever sent it sends it again after 1, 3 and 7 s (TCP, RFC 6298).
SETTLE_MS = 10000


def light_ms(needed: int, quiet_ms: int, wait_ms: int) -> int:
    """Milliseconds of light sleep when nothing is due for ``wait_ms`` (negative: ever); 0 for an ordinary wait.

    ``needed`` has a bit for each who needs the processor awake, ``quiet_ms`` is for how long nobody has.
    """
    if needed or quiet_ms < SETTLE_MS or wait_ms < LEAST_MS:
        return 0
    return wait_ms
