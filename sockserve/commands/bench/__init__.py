"""`sockserve bench`: load for an echo server, every answer checked byte for byte, and what it says of the server."""
