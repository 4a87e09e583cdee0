"""What is done with a trained network's latent space: pictures are projected into it. How they are drawn: pictures/."""
