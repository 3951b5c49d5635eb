"""From conf/ and overrides to jobs and checked settings."""
