"""How networks may begin further on: at the body, with Eq. 10, and by repeating pictures."""
