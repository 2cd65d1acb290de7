"""Alerts brought to people: who is told what, when, over which path, until a named person has acknowledged it.

What is to be told lies in the store's outbox, written in the transaction of the alert (`gateway.store.outbox`). The
notifier (``python -m gateway.delivery``) decides by pure rules (`plan`, `routes`, `hours`) and
sends (`paths`, `modem`).
Nothing that leaves the gateway here tells more than number, revision and urgency of an alert, and a link (law 10).
"""
