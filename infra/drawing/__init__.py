"""The graph of a plan as a picture: what is drawn (picture.py), where (layers.py), and how."""
