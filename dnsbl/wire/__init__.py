"""Query bytes and a snapshot to answer bytes; no socket, no clock."""
