"""What bounds a peer: who may connect, how many, how long each may be silent, how much memory all may take."""
