"""What users write in a file, turned into checked values."""
