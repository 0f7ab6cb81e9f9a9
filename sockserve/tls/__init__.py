"""TLS below the protocols, and the certificates it shows."""
