"""What is done with trained networks: projection into them, edits, blends of two. How it looks: pictures/."""
