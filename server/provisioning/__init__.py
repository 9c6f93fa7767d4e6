"""How a box comes to be known: its certificate, the file that carries it there, and its end."""
