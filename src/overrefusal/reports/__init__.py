"""Reports: terminal, Markdown, JSON, JUnit."""
