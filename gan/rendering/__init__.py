"""From codes to pictures: cameras, the posed body, level sets, radiance maps, compositing; the generator as a whole."""
