"""From files, archives, URLs and hub data sets to tables."""
