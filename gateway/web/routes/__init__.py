"""What the web answers, one concern a module: pages for people, JSON for programs, events for both, health."""
