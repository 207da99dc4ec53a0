"""What is on disk and in networks, made into the avatar's types: files, weights, runtimes, training."""
