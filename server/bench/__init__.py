"""``avatar bench``: real sessions in one process, measured, and how many of them it bears."""
