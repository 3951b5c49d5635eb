"""Measurements that a user can repeat, each against what they would use otherwise."""
