"""The command line of sedmd for a small detector: `python -m night.small run --config FILE`."""

import sys

if __name__ == "__main__":
    # workers import this module too, and need none of it
    import sedmd.run.ingest
    from night.raw_night import SHAPE
    from sedmd.cli import main

    sedmd.run.ingest.ARRAY_SHAPE = SHAPE
    sys.exit(main())
