"""Pictures of results: a contact sheet, and a page that plays the moments."""
