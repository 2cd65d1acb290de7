"""The store: signed envelopes, what is known of each device, orders, alerts with all revisions, quarantine.

``Store`` opens and migrates it; the query functions stand in one module per concern and take the open connection, so
that a caller says what belongs in one transaction.
"""

from gateway.store.database import Store, StoreError

__all__ = ["Store", "StoreError"]
