"""From electrons to flux: the sensitivity from standard stars."""
