"""``python -m dnsbl.cli``: the command, where it is not installed."""

from dnsbl.cli import main

main(prog_name="vedette")
