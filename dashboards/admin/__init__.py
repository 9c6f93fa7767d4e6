"""Pages on which a chain is set up: stores, boxes, cameras and what is drawn on them, settings, the audit trail."""
