"""The command ``vedette``: a file a noun, loaded when asked for.

Words in, calls of the other rooms, text or JSON out. Results go to stdout, everything else to stderr; an error is
one line that says what to do. Exit status: 0 it is done; 1 it failed, or something was found; 2 the command line or
the configuration cannot be used; 130 interrupted.
"""

import importlib
import sqlite3
import sys
from collections.abc import Mapping
from typing import Any

import click

from dnsbl import __version__
from dnsbl.errors import ConfigError, DnsblError, ZoneError
from profiler.errors import ProfilerError

FAILED = 1
UNUSABLE = 2
INTERRUPTED = 130

#: Each command lives in the module of its name; the sentence is what ``vedette --help`` says of it.
COMMANDS: Mapping[str, str] = {
    "up": "Start the server: DNS, HTTP and flows.",
    "tail": "Follow a log file into a running server.",
    "replay": "Run a log through the engine and print each change of verdict.",
    "parse": "Show what is understood of a log.",
    "lookup": "Say what is known of an address.",
    "feed": "Add, list and remove feeds, and replace their tokens.",
    "isp": "Add, list and remove ISPs, and replace their tokens.",
    "network": "Declare what networks are used for.",
    "listing": "List addresses by hand, and see what is listed.",
    "zone": "See, check and compare the zones.",
    "export": "Write a zone as a file for other programs.",
    "operator": "Make the operator's token.",
    "profile": "Write the profiles out.",
    "check-config": "Say whether the configuration can be used, or what is wrong.",
    "doctor": "Look for what keeps Vedette from working, and say what to do.",
    "completion": "Print what completes commands in a shell.",
}


class Commands(click.Group):
    """Loads a command's module when it is called, and tells every failure in one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of :data:`COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        if name not in COMMANDS:
            return None
        loaded = importlib.import_module(f"dnsbl.cli.{name.replace('-', '_')}").command
        assert isinstance(loaded, click.Command)
        return loaded

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run; end the process with the exit status that the module describes."""
        try:
            status = super().main(*args, **extra | {"standalone_mode": False})
        except click.Abort:
            status = INTERRUPTED
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            status = UNUSABLE
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "vedette"
            status = _tell(f"{error.format_message()} See `{where} --help`.", UNUSABLE)
        except click.ClickException as error:
            status = _tell(error.format_message(), FAILED)
        except (ConfigError, ZoneError) as error:
            status = _tell(str(error), UNUSABLE)
        except (DnsblError, ProfilerError) as error:
            status = _tell(str(error), FAILED)
        except sqlite3.Error as error:
            status = _tell(f"the database refuses: {error}; `vedette doctor` looks for the cause", FAILED)
        except OSError as error:
            status = _tell(f"{error.filename or 'system'}: {error.strerror or error}", FAILED)
        sys.exit(status if isinstance(status, int) else 0)


def _tell(message: str, status: int) -> int:
    click.echo(f"vedette: {' '.join(message.split())}", err=True)
    return status


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vedette", message="%(prog)s %(version)s")
def main() -> None:
    """Vedette, a reputation DNSBL server that learns from traffic records.

    Exit status: 0 it is done; 1 it failed, or something was found; 2 the command line or the configuration
    cannot be used.
    """
