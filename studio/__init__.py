"""The browser studio: a server that draws with networks, and one static page; what it shows is made elsewhere."""
