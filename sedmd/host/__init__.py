"""The machine: files and who may write them, files of others, locks, mounts, processes for work that may crash."""
