"""Bandits of many runs."""
