"""Compiled loops, one module a purpose; see `sedmd.reduce.numeric.compiled`."""
