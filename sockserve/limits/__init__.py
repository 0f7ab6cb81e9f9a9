"""What a peer may use: who may connect, how many, how long each may be silent, how much memory all may take."""
