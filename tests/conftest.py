"""One test process is one processor, as in the pipeline: several that share two cores would wait for each other."""

import sedmd.single_thread  # noqa: F401  (before the numerical libraries load)
