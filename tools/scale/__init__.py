"""How the machinery behaves with many images: `make bench-scale`. Nothing here runs in a build."""
