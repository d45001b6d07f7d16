"""Finding the one person of a photograph: MediaPipe's graphs and what is made of them."""
