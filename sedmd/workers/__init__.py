"""Where jobs run: processes on this machine, or workers of a Dask cluster."""
