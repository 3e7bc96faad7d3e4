"""What Google's front end answers by itself, when no instance of a service does."""

PAGE = (
    "<html><head>\n"
    '<meta http-equiv="content-type" content="text/html;charset=utf-8">\n'
    "<title>{title}</title>\n</head>\n<body text=#000000 bgcolor=#ffffff>\n"
    "<h1>Error: {error}</h1>\n<h2>{text}</h2>\n<h2></h2>\n</body></html>\n"
)
NOT_AVAILABLE = PAGE.format(
    title="503 Server Error",
    error="Server Error",
    text="The service you requested is not available yet.<p>Please try again in 30 seconds.",
)
NOT_FOUND = PAGE.format(
    title="404 Page not found",
    error="Page not found",
    text="The requested URL was not found on this server.",
)
FORBIDDEN = PAGE.format(
    title="403 Forbidden",
    error="Forbidden",
    text="Your client does not have permission to get URL <code>{path}</code> from this server.",
)
BROKEN = (
    "upstream connect error or disconnect/reset before headers. reset reason: connection failure"
)
