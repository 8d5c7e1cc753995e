"""One test process is one processor, as in the pipeline: several that share two cores would wait for each other."""

import sedmd.workers.single_thread  # noqa: F401  (before the numerical libraries load)


def pytest_collection_modifyitems(items):
    """The longest of the slow tests first: one that begins last keeps a single processor busy while the others rest."""
    items.sort(key=lambda item: -sum(mark.kwargs.get("seconds", 20) for mark in item.iter_markers("slow")))
