"""Many settings of one config tried, the best ones found."""
