"""What people see: sign-in, consent, and pages that say what went wrong. Server-rendered, no script, one stylesheet."""
