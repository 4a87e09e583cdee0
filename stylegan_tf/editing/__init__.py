"""What is done with trained networks: pictures are projected into them, and two are blended. How they are drawn: pictures/."""
