"""Verdicts to listings: what is published, since when, why, and until when."""
