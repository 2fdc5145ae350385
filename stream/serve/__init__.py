"""`labelstream serve`: classification over HTTP, on Starlette and uvicorn (extra `serve`)."""
