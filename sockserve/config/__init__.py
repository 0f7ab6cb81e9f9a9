"""Files and command lines, turned into checked values."""
