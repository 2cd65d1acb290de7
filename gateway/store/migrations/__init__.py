"""How the store came to its present form, one file a step; run by ``gateway.store.database``."""
