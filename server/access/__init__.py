"""Who may do what: users, sessions, API keys, the scope of a request and the audit trail."""
