"""`python -m sedmd` is the command `sedmd`."""

import sys

from sedmd.cli import main

if __name__ == "__main__":
    sys.exit(main())
