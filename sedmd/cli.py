"""The command line. Heavy modules are loaded by the command that needs them, so that --help and status are quick."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from sedmd import __version__
from sedmd.commands import (
    alert,
    bank,
    classify,
    config,
    demo,
    doctor,
    extract,
    final_report,
    install_service,
    mend,
    operator_requests,
    publish,
    reduce,
    report,
    reprocess,
    run,
    scan,
    simulate,
    stars,
    status,
    targets,
    trend,
    upload,
    validate,
    verify,
    why,
    withdraw,
)
from sedmd.core.errors import SedmError

#: In the order of the help.
COMMANDS = (
    reduce,
    run,
    extract,
    reprocess,
    status,
    targets,
    why,
    doctor,
    verify,
    config,
    operator_requests,
    mend,
    scan,
    report,
    trend,
    publish,
    classify,
    bank,
    upload,
    withdraw,
    alert,
    final_report,
    stars,
    simulate,
    demo,
    validate,
    install_service,
)
EXIT_CODES = """\
exit codes:
  0  everything asked for was done
  1  some frames were quarantined or some jobs failed; the rest is done
     (doctor: an error was found; redo, retry, forget, mend, hold, release, accept, scan: refused;
     classify: a spectrum could not be classified, or there is no engine; upload: something was refused or waits;
     final-report: it was refused, or some of its recipients)
  2  the command line or the configuration cannot be used
  3  calibrations are missing; the list says which
  73  a report, a trend, a web page or a unit could not be written; the text says why
  75  not now: another sedmd works on this redux root, the raw root or the mail server is away, or a disk is full;
      try again later
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = parser().parse_args(argv)
    verb: Callable[[argparse.Namespace], int] = options.verb
    try:
        return verb(options)
    except SedmError as error:
        print(f"sedmd: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("sedmd: interrupted; the same command goes on where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # the reader of our output went away (| head); standard output must not be flushed into nothing at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    top = argparse.ArgumentParser(
        prog="sedmd",
        description="Raw frames of the SED Machine become flux-calibrated spectra.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"sedmd {__version__}")
    verbs = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, verb: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        text = (verb.__doc__ or "").strip()
        made = verbs.add_parser(
            name,
            help=text.splitlines()[0],
            description=text,
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(verb=verb)
        return made

    for command in COMMANDS:
        command.add_to(add)
    return top


if __name__ == "__main__":
    sys.exit(main())
