"""The practitioner's page and the JSON interface beside it. They read the store and nothing else."""
