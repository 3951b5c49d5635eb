"""Bandits of many runs, with one row per run."""
