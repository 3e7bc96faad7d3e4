"""`invoke entity`: an entity through every layer of a service, from a line of words.

Data flows one way: words → fields → entity → the texts of files → the service's folder.
"""
