"""Places where a session's pictures and sound go."""
