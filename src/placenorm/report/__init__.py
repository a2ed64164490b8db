"""Facts in; terminal tables, HTML pages and pictures out. Imports no torch."""
