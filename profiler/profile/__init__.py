"""One address's summary: the table of profiles, its checkpoints."""
