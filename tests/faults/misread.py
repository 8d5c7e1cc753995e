"""The command line of sedmd for a small detector, whose reader of frames does what a frame's name says."""

import sys
from functools import partial

if __name__ == "__main__":
    from night.raw_night import SHAPE
    from unit.misreaders import read_frame

    import sedmd.daemon.start
    import sedmd.run.ingest
    from sedmd.cli import main
    from sedmd.run.readers import Readers

    sedmd.run.ingest.ARRAY_SHAPE = SHAPE
    sedmd.run.ingest.read_frame = read_frame
    sedmd.daemon.start.Readers = partial(Readers, limit_s=3.0)
    sys.exit(main())
