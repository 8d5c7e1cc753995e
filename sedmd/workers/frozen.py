"""Imported last in the fork server: what is loaded by then is kept out of every later search for garbage.

The first search in a forked process would otherwise visit each object of the libraries, and so copy nearly every page
of memory that it shares with the fork server: 0.12 s and 100 MB for each job.
"""

import gc

gc.collect()
gc.freeze()
