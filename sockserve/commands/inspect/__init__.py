"""`sockserve inspect`: which framings bytes can be, and where the borders of their frames are."""
