"""How the server keeps things: the pool, the migrations, TimescaleDB where it is, and the embedded database."""
