"""Profiles to evidence, evidence to verdicts, verdicts to sentences. Pure: columns and a time in, values out."""
