"""Read, score and draw what runs leave on disk; nothing here trains."""
