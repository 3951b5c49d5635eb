"""Gymnasium environments of many runs."""
