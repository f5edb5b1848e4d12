"""Charts as SVG elements for a page, coloured by the page's style sheet."""
