"""The edge: what brings bytes in. Sockets and files stand here; what the bytes mean is ``profiler.parse``'s."""
