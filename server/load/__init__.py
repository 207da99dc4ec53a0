"""How much a process has to do, how many sessions fit, and how much of a picture is drawn when it is too much."""
