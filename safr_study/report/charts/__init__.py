"""Charts as SVG elements for a page: drawn by hand, coloured by the page's style sheet."""
