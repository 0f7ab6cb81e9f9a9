"""The other side of a connection: connect once, or stay connected."""
