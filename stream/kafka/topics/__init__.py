"""The topics of the configured routes: description, creation and checks."""
