"""One training loop over a leading run axis, and what a run leaves on disk."""
