"""Label the column `text` of Parquet files with Spark: spark-submit label.py BUNDLE INPUT OUTPUT."""

import sys
from collections.abc import Callable, Iterator

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql.types import DoubleType, StringType, StructType

from stream.api import Classifier, RowError

Frames = Iterator[pd.DataFrame]


def labeller(bundle: str) -> Callable[[Frames], Frames]:
    """Return the function that labels the rows of one partition."""

    def label(frames: Frames) -> Frames:
        # Spark runs as many Python processes as it has cores, so each of them takes one core.
        with Classifier.open(bundle, device="cpu", sessions=1, single_threaded=True) as classifier:
            for frame in frames:
                results = classifier.classify([{"text": text} for text in frame["text"]])
                good = [None if isinstance(result, RowError) else result for result in results]
                yield frame.assign(
                    label=[result and result.label for result in good],
                    score=[result and result.score for result in good],
                    error=[str(result) if isinstance(result, RowError) else None for result in results],
                )

    return label


def main() -> None:
    bundle, source, target = sys.argv[1:]
    spark = SparkSession.builder.appName("labelstream").getOrCreate()
    rows = spark.read.parquet(source)
    schema = StructType([*rows.schema.fields])
    schema = schema.add("label", StringType()).add("score", DoubleType()).add("error", StringType())
    rows.mapInPandas(labeller(bundle), schema).write.mode("errorifexists").parquet(target)
    spark.stop()


if __name__ == "__main__":
    main()
