"""Copies the table `orders` from Postgres to a JSONL file, with the quicker of dlt's two usual backends."""

import os
import sys

import dlt
from dlt.sources.sql_database import sql_table

folder = os.path.abspath(sys.argv[1])
pipeline = dlt.pipeline(
    "peers",
    destination=dlt.destinations.filesystem("file://" + os.path.join(folder, "out")),
    dataset_name="peers",
    pipelines_dir=os.path.join(folder, "work"),
)
orders = sql_table(os.environ["DATABASE_URL"], table="orders", schema="public", backend="pyarrow", chunk_size=50_000)
pipeline.run(orders, loader_file_format="jsonl", write_disposition="replace").raise_on_failed_jobs()
