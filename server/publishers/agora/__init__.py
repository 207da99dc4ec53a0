"""The publisher that joins an Agora channel: one child process per session, for the SDK is one service per process."""
