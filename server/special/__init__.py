"""The content of ``special``: instructions for the body, in JSON or XML."""
