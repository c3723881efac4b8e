"""Read files, archives, URLs and Hub data sets into tables."""
