"""Zones and what is listed in them: zone files, the immutable snapshot, and its changes while serving."""
