"""The box's ways to its server, and the small rules of using them. `edge.uplink` decides; these only carry."""
