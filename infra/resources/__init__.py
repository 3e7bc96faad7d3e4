"""One file for each of Google's products, holding everything about its kinds of resources."""
