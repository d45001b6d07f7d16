"""Pictures as such: decoding, colours, supplied masks, edges, likeness, drawing."""
