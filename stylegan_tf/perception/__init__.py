"""The published networks that look at images, Inception and VGG16 with LPIPS, and where their files are. No metric."""
