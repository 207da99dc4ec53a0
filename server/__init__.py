"""Time, tasks, sockets and processes: the avatar on the network."""
