"""From what a user names to a network: runs, .keras files, the original's pickles, published names. No pictures."""
