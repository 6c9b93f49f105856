"""Traffic records to verdicts: what an address usually does, and when it stops being itself.

Knows neither DNS nor HTTP; ``dnsbl`` imports this package, never the reverse.
"""
