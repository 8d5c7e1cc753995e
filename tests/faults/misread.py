"""The command line of sedmd for a small detector, whose reader of frames does what a frame's name says."""

import sys
from functools import partial

if __name__ == "__main__":
    from night.raw_night import SHAPE
    from unit.misreaders import read_frame

    import sedmd.daemon.service
    import sedmd.ingest
    from sedmd.cli import main
    from sedmd.readers import Readers

    sedmd.ingest.ARRAY_SHAPE = SHAPE
    sedmd.ingest.read_frame = read_frame
    sedmd.daemon.service.Readers = partial(Readers, limit_s=3.0)
    sys.exit(main())
