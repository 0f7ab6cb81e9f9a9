"""One connection: bytes in, messages out and back, and how it ends."""
