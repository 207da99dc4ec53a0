"""Where pictures meet: clips in time, drawn mouths and footage in space. Measured, and looked at."""
