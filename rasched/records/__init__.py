"""The files of a run, written and read, one module per format."""
