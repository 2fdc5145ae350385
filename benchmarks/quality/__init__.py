"""Quality of classifiers trained with the real `labelstream train` command on published data sets."""
