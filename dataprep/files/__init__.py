"""Files as such: where they lie, whose they are, what their names may say; nothing of what is in them."""
