"""Images, figures and videos of a trained generator, and curves of runs. Nothing here is trained or exported."""
