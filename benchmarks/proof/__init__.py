"""Does a search find something better than what is published? On real data, with new seeds, on the test split."""
