"""Read, compare and draw what runs leave on disk."""
