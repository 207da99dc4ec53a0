"""The performance: what an avatar says, shows and does at every frame, free of I/O, clocks and threads."""
