"""From words to runs: compose the settings, train, and leave a folder of records."""
