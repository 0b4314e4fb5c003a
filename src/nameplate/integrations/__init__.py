"""nameplate in other projects' frameworks: thin, each with an extra of its own."""
