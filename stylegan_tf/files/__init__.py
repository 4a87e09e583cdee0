"""From what a user names to a network: runs, .keras files, files of other projects, published names. No pictures."""
