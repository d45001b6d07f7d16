"""The viewer: a server on this machine alone, in whose page a data set is looked at and put right.

view_server        opens the data set, listens on loopback, says the address
viewer_pages       what the page is made of: add a `ViewerPage` to `PAGES` for another tab
guarded_handler    who may ask: token, host name, headers; the base of every handler
viewed_dataset     the data set as handlers see it
row_columns        the manifest as arrays; row_queries: filters and order; row_charts: bars and histograms
sample_images      pictures at full size and as thumbnails; sample_facts: all that is known of one sample
static/            the page itself
"""
