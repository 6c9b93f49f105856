"""Listings in the forms that other programs read. Pure."""
