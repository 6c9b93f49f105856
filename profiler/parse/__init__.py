"""Bytes to observations, a file a format. Nothing here knows a socket, a file or the clock."""
