"""`labelstream demo`: trainer, development broker, worker and client on one machine."""
