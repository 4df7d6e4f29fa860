"""Inserts documents as `mongoimport --uri URI --collection COLLECTION FILE` does: one of each line of Extended JSON."""

import argparse

import pymongo
from bson import json_util

options = argparse.ArgumentParser(prog="dev/services mongoimport")
options.add_argument("--uri", required=True, help="with the name of the database")
options.add_argument("--collection", required=True)
options.add_argument("file", type=argparse.FileType("r", encoding="utf-8"))
chosen = options.parse_args()
collection = pymongo.MongoClient(chosen.uri).get_default_database()[chosen.collection]
documents = [json_util.loads(line) for line in chosen.file if line.strip()]
collection.insert_many(documents)
print(f"{len(documents)} document(s) imported successfully.")
