"""Signals, failing file operations and damaged files: commands resume exactly, or say why not."""
