"""What is done with trained networks: pictures are projected into them, two are blended. How they look: pictures/."""
