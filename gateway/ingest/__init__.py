"""The ingest: messages from the broker → one transaction → acknowledgement and commit down → alerts.

A process of its own (``python -m gateway.ingest --data-dir DIR``), started by ``gateway.service``. One thread decides
and writes; the network and the control socket have threads that only hand over to it. To read in this order:

- ``pipeline``: the loop, and the way of a group of messages;
- ``judging``: from what is committed to alerts, whatever a rule does (`gateway.judge` is who judges);
- ``answers``: what devices are told, when it is safe to tell them;
- ``steps``: a stepped clock moves when everything before it is done;
- ``floods``: whoever says too much is kept out for a while;
- ``requests``: what the control socket is answered;
- ``progress``: what it is at and what goes wrong, which all of these share;
- ``__main__``: the process.
"""
