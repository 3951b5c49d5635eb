"""Environments of Gymnasium for many runs, with one row per run."""
