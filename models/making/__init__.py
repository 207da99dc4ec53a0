"""How the shipped networks and the embedded avatar are made; nothing here is needed to serve."""
