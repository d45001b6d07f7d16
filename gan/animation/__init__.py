"""A generator's people in motion: whom to show, what moves them, films of it."""
